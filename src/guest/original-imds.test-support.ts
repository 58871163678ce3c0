import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Command, type RunResult, run, runUnchecked } from '../system/index.ts'
import { Cache, type Toolchain } from '../toolchain/index.ts'

const SYSTEMD = '/usr/lib/systemd'

interface OriginalOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly copyRunTo?: string
  /** Lines of a shell that come first. */
  readonly prepare?: string
}

/** systemd's own programs of a package that a build has fetched, as they would run in an image; each with a `/run` of its own. */
export class OriginalImds implements AsyncDisposable {
  readonly #toolchain: Toolchain
  readonly #directory: string

  private constructor(toolchain: Toolchain, directory: string) {
    this.#toolchain = toolchain
    this.#directory = directory
  }

  /** Whether an image with the package has been built. */
  static isFetched(): boolean {
    return packages().length > 0
  }

  /** For `beforeAll`: a file whose tests are all skipped has no end at which to remove what it made. */
  static async unpack(toolchain: Toolchain): Promise<OriginalImds> {
    const directory = await mkdtemp(join(tmpdir(), 'bootwright-original-'))
    const [deb = ''] = packages()
    await run(toolchain.command(['dpkg-deb', '--extract', deb, directory]))
    return new OriginalImds(toolchain, directory)
  }

  /** Runs `systemd-imds…` with this environment; what it leaves in `/run` is copied to a directory, where one is given. */
  run(program: string, argv: readonly string[], options: OriginalOptions = {}): Promise<RunResult> {
    return runUnchecked(this.command([join(SYSTEMD, program), ...argv], options))
  }

  /** Any program, in whose eyes systemd's own are installed. */
  command(argv: readonly string[], { env = {}, copyRunTo = '', prepare = '' }: OriginalOptions = {}): Command {
    const script = [
      'lower=$1 copy=$2 prepare=$3; shift 3',
      'mount -t tmpfs -o mode=755 tmpfs /run',
      `mount -t overlay -o "lowerdir=$lower:${SYSTEMD}" overlay ${SYSTEMD}`,
      'eval "$prepare"',
      '"$@"',
      'status=$?',
      '[ -z "$copy" ] || cp -a /run/. "$copy"',
      'exit $status',
    ].join('\n')
    const lower = join(this.#directory, SYSTEMD)
    const argvAll = ['unshare', '--mount', 'sh', '-c', script, 'sh', lower, copyRunTo, prepare, ...argv]
    return this.#toolchain.command(argvAll, { env })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function packages(): string[] {
  return globSync(new Cache().path('packages/cache/apt/archives/systemd-imds_262-*.deb'))
}

/** Whether this host has a metadata endpoint of its own, which programs without another one would ask. */
export function isInCloud(): boolean {
  try {
    return readFileSync('/run/udev/data/+dmi:id', 'utf8').includes('E:IMDS_VENDOR=')
  } catch {
    return false
  }
}
