import { stat } from 'node:fs/promises'
import type { RunningMachine } from '../../src/machine/index.ts'

/** Where Debian's package systemd-tests has the scripts of the integration tests. */
const UNITS = '/usr/lib/systemd/tests/testdata/units'
const TEST_MS = 10 * 60_000
const SHOWN_LINES = 40

type Guest = Pick<RunningMachine, 'run' | 'runUnchecked'>

/**
 * Runs one of systemd's integration tests as it is. Rejects with the end of what it printed, for it traces its commands,
 * when it fails, and when it says that it skipped the rest: that is no pass.
 */
export async function passesUpstream(machine: Guest, name: string): Promise<void> {
  const script = `${UNITS}/${name}.sh`
  const { exitCode, stdout, stderr } = await machine.runUnchecked(['bash', script], { timeoutMs: TEST_MS })
  const said = `${stdout.toString()}\n${stderr.toString()}`
  // Its own words are on standard output, those of the programs that it traces are not.
  const skipped = /^.*\bskipping\b.*$/im.exec(stdout.toString())?.[0]
  if (exitCode === 0 && skipped === undefined) return
  const how = exitCode === 0 ? `skipped something: ${skipped}` : `failed with status ${exitCode}`
  throw new Error(`${name} ${how}\n${said.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n')}`)
}

/** A program of this host for guests: a disk that holds nothing but its bytes. */
export class GuestProgram {
  readonly #path: string
  readonly #size: number

  private constructor(path: string, size: number) {
    this.#path = path
    this.#size = size
  }

  static async of(path: string): Promise<GuestProgram> {
    return new GuestProgram(path, (await stat(path)).size)
  }

  /** For `disks` of a machine. */
  get disk() {
    return { name: 'program', sizeMiB: Math.ceil(this.#size / 1024 ** 2), contentPath: this.#path }
  }

  /** Until the machine is off, whoever calls `target` there gets this program. */
  async standInFor(machine: Guest, target: string): Promise<void> {
    const copy = `/run/bootwright/${target.split('/').at(-1)}`
    await machine.run(['mkdir', '-p', '/run/bootwright'])
    await machine.run(['mount', '-t', 'tmpfs', 'tmpfs', '/run/bootwright'])
    await machine.run([
      'sh',
      '-c',
      `head -c ${this.#size} /dev/disk/by-id/virtio-program >${copy} && chmod 755 ${copy}`,
    ])
    await machine.run(['mount', '--bind', copy, target])
  }
}
