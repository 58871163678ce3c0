import { BootwrightError, unknownName } from '../system/index.ts'
import type { PcrBank } from '../tpm/index.ts'
import type { Guest } from './guest.ts'

const TPM = '/sys/class/tpm/tpm0'
/** The event log of the firmware, as the kernel hands it out. */
const FIRMWARE_LOG = '/sys/kernel/security/tpm0/binary_bios_measurements'

/** The TPM of a machine, as its guest sees it. */
export interface GuestTpm {
  /**
   * All PCRs of a bank, by index, as lower-case hexadecimal text. Rejects with `UNKNOWN_NAME` for a bank that is not
   * active, and with `GUEST_COMMAND_FAILED` in a guest without a TPM.
   */
  readPcrs(bank?: PcrBank): Promise<ReadonlyMap<number, string>>
}

export function guestTpm(guest: Guest): GuestTpm {
  return {
    async readPcrs(bank = 'sha256') {
      const { exitCode, stdout } = await guest.runUnchecked(['sh', '-c', `cd ${TPM} && grep . pcr-*/*`])
      if (exitCode !== 0) throw noTpm()
      const banks = new Map<string, Map<number, string>>()
      for (const [, name = '', pcr, value = ''] of stdout.toString().matchAll(/^pcr-(\w+)\/(\d+):([0-9a-f]+)$/gim)) {
        const values = banks.get(name) ?? new Map<number, string>()
        banks.set(name, values.set(Number(pcr), value.toLowerCase()))
      }
      const values = banks.get(bank)
      if (values === undefined) throw unknownName('active PCR bank', bank, [...banks.keys()])
      return new Map([...values].sort(([a], [b]) => a - b))
    },
  }
}

/** The firmware's event log as bytes. */
export async function firmwareEventLog(guest: Guest): Promise<Buffer> {
  const { exitCode, stdout } = await guest.runUnchecked(['cat', FIRMWARE_LOG])
  if (exitCode !== 0 || stdout.length === 0) throw noTpm()
  return stdout
}

function noTpm(): BootwrightError {
  return new BootwrightError('GUEST_COMMAND_FAILED', 'Expected a TPM and its event log in the guest, found none', {
    hint: 'Was the machine made with a TPM, and does the kernel of its image have a driver for it (tpm_crb)?',
  })
}
