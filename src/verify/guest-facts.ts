import type { RunningMachine } from '../machine/index.ts'
import {
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  type TcgEventLog,
  type UserspaceLog,
} from '../measure/index.ts'
import { FIRMWARE_LOG, readFirmwareLog, readPcrs, readUserspaceLog, TPM } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'

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
      const banks = found(await readPcrs(this.#machine), TPM)
      await this.#keep('pcrs.json', `${JSON.stringify(banks, null, 2)}\n`)
      return parsePcrBanks(banks)
    })
  }

  /** The firmware's event log. */
  eventLog(): Promise<TcgEventLog> {
    return this.#once('event log', async () => {
      const bytes = found(await readFirmwareLog(this.#machine), FIRMWARE_LOG)
      await this.#keep('event-log.bin', bytes)
      return parseEventLog(bytes)
    })
  }

  /** The event log of systemd's own measurements, empty where it has made none. */
  userspaceLog(): Promise<UserspaceLog> {
    return this.#once('userspace log', async () => {
      const bytes = await readUserspaceLog(this.#machine)
      if (bytes !== undefined) await this.#keep('tpm2-measure.log', bytes)
      return parseUserspaceLog(bytes ?? new Uint8Array())
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

function found<T>(value: T | undefined, path: string): T {
  if (value !== undefined) return value
  throw new BootwrightError('GUEST_COMMAND_FAILED', `Expected to read ${path} in the guest, found that it cannot be`)
}
