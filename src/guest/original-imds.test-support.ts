import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunResult, run, runUnchecked } from '../system/index.ts'
import { Cache, type Toolchain } from '../toolchain/index.ts'

const SYSTEMD = '/usr/lib/systemd'

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
  run(
    program: string,
    argv: readonly string[],
    {
      env = {},
      copyRunTo = '',
      prepare = '',
    }: { env?: Readonly<Record<string, string>>; copyRunTo?: string; prepare?: string } = {},
  ): Promise<RunResult> {
    const script = [
      'lower=$1 copy=$2 prepare=$3 program=$4; shift 4',
      'mount -t tmpfs -o mode=755 tmpfs /run',
      `mount -t overlay -o "lowerdir=$lower:${SYSTEMD}" overlay ${SYSTEMD}`,
      'eval "$prepare"',
      `"${SYSTEMD}/$program" "$@"`,
      'status=$?',
      '[ -z "$copy" ] || cp -a /run/. "$copy"',
      'exit $status',
    ].join('\n')
    const lower = join(this.#directory, SYSTEMD)
    const argvAll = ['unshare', '--mount', 'sh', '-c', script, 'sh', lower, copyRunTo, prepare, program, ...argv]
    return runUnchecked(this.#toolchain.command(argvAll, { env }))
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
