import { randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { BootwrightError, unknownName } from '../system/index.ts'
import { checkQuote, createAttestationKey, type PcrBank, type Quote, type TpmSend, takeQuote } from '../tpm/index.ts'
import type { Guest } from './guest.ts'
import { describeExit } from './guest-exit.ts'
import type { GuestProcess } from './guest-process.ts'

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
  /**
   * What the TPM itself says of its PCRs, signed with a key of its endorsement hierarchy: nothing in the guest can say it in
   * its place. Signature, nonce and selection have been checked; compare `pcrDigest` with `quotedDigest` of the values that
   * you expect. Needs no tools in the image.
   */
  quote(options?: QuoteOptions): Promise<Quote>
  /**
   * Gives the TPM commands (`readPcrs`, `seal`, `policyPcr`, `readNv` and the others of `src/tpm`) through one opening of the
   * guest's `/dev/tpmrm0`: sessions and keys that they leave are gone when `use` has ended. Needs no tools in the image.
   */
  use<T>(use: (send: TpmSend) => Promise<T>): Promise<T>
}

export interface QuoteOptions {
  /** All of them when absent. */
  readonly pcrs?: readonly number[]
  /** `sha256` when absent. */
  readonly bank?: PcrBank
  /** At most 32 bytes; random when absent. */
  readonly nonce?: Uint8Array
}

const ALL_PCRS = Array.from({ length: 24 }, (_, pcr) => pcr)

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
    async quote({ pcrs = ALL_PCRS, bank = 'sha256', nonce = randomBytes(32) } = {}) {
      const quote = await withDevice(guest, async (send) => {
        return takeQuote(send, await createAttestationKey(send), { nonce, bank, pcrs })
      })
      checkQuote(quote, { nonce, bank, pcrs })
      return quote
    },
    use: (use) => withDevice(guest, use),
  }
}

/**
 * Talks to the guest's TPM over one opening of its device: what is loaded there is gone afterwards. A command is to reach
 * the kernel in one piece, hence the file.
 */
const RELAY = `
exec 3<>/dev/tpmrm0 || exit 3
file=$(mktemp) || exit 4
trap 'rm -f "$file"' EXIT
while dd bs=4096 count=1 status=none of="$file" && [ -s "$file" ]; do
  cat "$file" >&3
  dd bs=4096 count=1 status=none <&3
done`

async function withDevice<T>(guest: Guest, use: (send: TpmSend) => Promise<T>): Promise<T> {
  await using relay = await guest.spawn(['sh', '-c', RELAY])
  const answers = relay.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  return await use(async (command) => {
    relay.stdin.write(command)
    let received = Buffer.alloc(0)
    while (received.length < 6 || received.length < received.readUInt32BE(2)) {
      const { done, value } = await answers.next()
      if (done === true) throw await unanswered(relay)
      received = Buffer.concat([received, value])
    }
    return received
  })
}

async function unanswered(relay: GuestProcess): Promise<BootwrightError> {
  const said = await text(relay.stderr)
  const how = describeExit(await relay.exited)
  return new BootwrightError('GUEST_COMMAND_FAILED', `The TPM of the guest gave no answer: ${how}: ${said.trim()}`, {
    hint: 'Was the machine made with a TPM, and does its kernel have a resource manager for it (/dev/tpmrm0)?',
  })
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
