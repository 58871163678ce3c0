import type { RunningMachine } from '../machine/index.ts'
import {
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  type TcgEventLog,
  type UserspaceLog,
} from '../measure/index.ts'

const TPM = '/sys/class/tpm/tpm0'
const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'
const USERSPACE_LOG = '/run/log/systemd/tpm2-measure.log'

/** Facts that several checks need, each asked from the guest once, and kept as evidence. */
export class GuestFacts {
  readonly #machine: RunningMachine
  readonly #keep: (name: string, bytes: Uint8Array | string) => Promise<void>
  readonly #asked = new Map<string, Promise<unknown>>()

  constructor(machine: RunningMachine, keep: (name: string, bytes: Uint8Array | string) => Promise<void>) {
    this.#machine = machine
    this.#keep = keep
  }

  /** Whether the guest has a file, directory or other name. */
  exists(path: string): Promise<boolean> {
    return this.#once(`exists ${path}`, async () => {
      return (await this.#machine.runUnchecked(['test', '-e', path])).exitCode === 0
    })
  }

  hasTpm(): Promise<boolean> {
    return this.exists(TPM)
  }

  /** PCR values of all active banks, as the kernel reads them from the TPM. */
  pcrs(): Promise<PcrBanks> {
    return this.#once('pcrs', async () => {
      const { stdout } = await this.#machine.run(['sh', '-c', `cd ${TPM} && grep . pcr-*/*`])
      const banks: Record<string, Record<number, string>> = {}
      for (const line of stdout.trim().split('\n')) {
        const match = /^pcr-(\w+)\/(\d+):([0-9A-Fa-f]+)$/.exec(line)
        if (match === null) continue
        const [, bank = '', pcr = '', value = ''] = match
        banks[bank] ??= {}
        banks[bank][Number(pcr)] = value
      }
      await this.#keep('pcrs.json', `${JSON.stringify(banks, null, 2)}\n`)
      return parsePcrBanks(banks)
    })
  }

  /** The firmware's event log. */
  eventLog(): Promise<TcgEventLog> {
    return this.#once('event log', async () => {
      const bytes = await this.#machine.readFile(FIRMWARE_LOG)
      await this.#keep('event-log.bin', bytes)
      return parseEventLog(bytes)
    })
  }

  /** The event log of systemd's own measurements. */
  userspaceLog(): Promise<UserspaceLog> {
    return this.#once('userspace log', async () => {
      if (!(await this.exists(USERSPACE_LOG))) return parseUserspaceLog(new Uint8Array())
      const bytes = await this.#machine.readFile(USERSPACE_LOG)
      await this.#keep('tpm2-measure.log', bytes)
      return parseUserspaceLog(bytes)
    })
  }

  #once<T>(name: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#asked.get(name) as Promise<T> | undefined
    if (known !== undefined) return known
    const asked = ask()
    this.#asked.set(name, asked)
    return asked
  }
}
