import { stat } from 'node:fs/promises'
import { guestToolNames } from '../guest/index.ts'
import type { RunningMachine } from '../machine/index.ts'

type Guest = Pick<RunningMachine, 'run' | 'runUnchecked'>

/** Where systemd has the programs that the guest tools stand in for. */
const DIRECTORIES = ['/usr/lib/systemd', '/usr/lib/systemd/system-generators']
const DISK = 'guest-tools'

/** Units of systemd that start a program which ours stands in for forbid what a compiler at run time cannot live without. */
const LET_COMPILE = [
  'systemd-imds-early-network.service',
  'systemd-imds-import.service',
  'systemd-imds-metrics@.service',
  'systemd-imdsd@.service',
  'systemd-sysupdate@.service',
  'systemd-sysupdate-update.service',
]
  .map((unit) => `/run/systemd/system/${unit}.d`)
  .map((path) => `mkdir -p ${path}; printf '[Service]\\nMemoryDenyWriteExecute=no\\n' >${path}/10-compiler.conf; `)
  .join('')
  .concat('systemctl daemon-reload')

/** The guest tools for machines: a disk that holds nothing but the bytes of the program. */
export class StandIns {
  readonly #path: string
  readonly #size: number

  private constructor(path: string, size: number) {
    this.#path = path
    this.#size = size
  }

  static async of(program: string): Promise<StandIns> {
    return new StandIns(program, (await stat(program)).size)
  }

  /** With what programs do as the originals where a test relies on that being a fault. */
  readonly environment = { BOOTWRIGHT_BUG_COMPAT: '262' }

  /** For `disks` of a machine. */
  get disk() {
    return { name: DISK, sizeMiB: Math.ceil(this.#size / 1024 ** 2), contentPath: this.#path }
  }

  /**
   * Until the machine is off, whoever calls one of the originals there gets ours. Resolves with the paths of those that the
   * machine has.
   */
  async replace(guest: Guest, names: readonly string[] = guestToolNames()): Promise<string[]> {
    const directory = '/run/bootwright-guest-tools'
    const program = `${directory}/program`
    await guest.run([
      'sh',
      '-ec',
      `mkdir -p ${directory}; mount -t tmpfs tmpfs ${directory}; ` +
        `head -c ${this.#size} /dev/disk/by-id/virtio-${DISK} >${program}; chmod 755 ${program}`,
    ])
    await guest.run([
      'systemctl',
      'set-environment',
      ...Object.entries(this.environment).map(([key, value]) => `${key}=${value}`),
    ])
    await guest.run(['sh', '-ec', LET_COMPILE])
    const replaced: string[] = []
    for (const name of names) {
      for (const original of DIRECTORIES.map((path) => `${path}/${name}`)) {
        if ((await guest.runUnchecked(['test', '-e', original])).exitCode !== 0) continue
        // It is the tool whose name it is called by.
        await guest.run(['mount', '--bind', program, original])
        replaced.push(original)
      }
    }
    return replaced
  }
}
