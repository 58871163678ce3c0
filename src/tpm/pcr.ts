import { BANK_ALGORITHMS } from './algorithms.ts'
import { sized, u16, words } from './commands.ts'
import { execute, PASSWORD, pcrSelection, type TpmSend } from './execute.ts'
import type { PcrBank } from './swtpm.ts'

const CC_PCR_EVENT = 0x13c
const CC_PCR_READ = 0x17e
const CC_PCR_EXTEND = 0x182

/** Values by PCR, hexadecimal (TPM2_PCR_Read). A bank that is not active has none. */
export async function readPcrs(
  send: TpmSend,
  bank: PcrBank,
  pcrs: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const values = new Map<number, string>()
  let left = [...new Set(pcrs)].sort((a, b) => a - b)
  // A TPM tells eight at most in one answer.
  while (left.length > 0) {
    const { answer } = await execute(send, {
      name: 'TPM2_PCR_Read',
      code: CC_PCR_READ,
      parameters: [pcrSelection(bank, left)],
    })
    answer.u32('pcrUpdateCounter')
    const told: number[] = []
    const selections = answer.u32('count of selections')
    for (let index = 0; index < selections; index++) {
      answer.expect(answer.u16('hash'), BANK_ALGORITHMS[bank].id, 'hash')
      const selected = answer.bytes(answer.u8('sizeofSelect'), 'pcrSelect')
      told.push(...left.filter((pcr) => ((selected[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0))
    }
    if (told.length === 0) break
    answer.expect(answer.u32('count of digests'), told.length, 'count of digests')
    for (const pcr of told) values.set(pcr, answer.sized('digest').toString('hex'))
    left = left.filter((pcr) => !told.includes(pcr))
  }
  return values
}

/** Extends a PCR by a digest in each of these banks (TPM2_PCR_Extend). */
export async function extendPcr(send: TpmSend, pcr: number, digests: ReadonlyMap<PcrBank, Uint8Array>): Promise<void> {
  const parts = [...digests].flatMap(([bank, digest]) => [u16(BANK_ALGORITHMS[bank].id), digest])
  await execute(send, {
    name: 'TPM2_PCR_Extend',
    code: CC_PCR_EXTEND,
    handles: [pcr],
    sessions: [PASSWORD],
    parameters: [words(digests.size), ...parts],
  })
}

/** Has the TPM hash the data in each active bank, and extend the PCR by that (TPM2_PCR_Event). */
export async function extendPcrByData(send: TpmSend, pcr: number, data: Uint8Array): Promise<void> {
  await execute(send, {
    name: 'TPM2_PCR_Event',
    code: CC_PCR_EVENT,
    handles: [pcr],
    sessions: [PASSWORD],
    parameters: [sized(data)],
  })
}
