import { BootwrightError } from '../system/index.ts'
import { responseCodeWords } from './response-code.ts'

/** TPM 2.0 Part 2: TPM_ST, TPM_RH, TPM_RS and the command codes that are needed here. */
export const ST_NO_SESSIONS = 0x8001
export const ST_SESSIONS = 0x8002
const RH_LOCKOUT = 0x4000000a
const RH_PLATFORM = 0x4000000c
const RS_PW = 0x40000009
const CC_CLEAR = 0x126
const CC_DICTIONARY_ATTACK_PARAMETERS = 0x13a
const CC_GET_CAPABILITY = 0x17a
const CAP_TPM_PROPERTIES = 6
const PT_PERMANENT = 0x200
const PERMANENT_IN_LOCKOUT = 1 << 9
export const HEADER_BYTES = 10

/** An authorisation area with one session: an empty password, and its length before it. */
export const EMPTY_PASSWORD = words(9, RS_PW, 0, 0).subarray(0, 4 + 9)

/** Forgets all keys and secrets of the owner (TPM 2.0 Part 3, TPM2_Clear), as firmware does it: with the platform's authority. */
export function clearCommand(): Buffer {
  return command(ST_SESSIONS, CC_CLEAR, Buffer.concat([words(RH_PLATFORM), EMPTY_PASSWORD]))
}

/**
 * Sets how many failed authorisations lock the TPM (TPM2_DictionaryAttackParameters). 0 locks it at once, for as long as
 * the number stays: nothing that has an authorisation with dictionary attack protection works any more.
 */
export function maxTriesCommand(maxTries: number): Buffer {
  const parameters = words(maxTries, maxTries === 0 ? 0xffff_ffff : 1_000, 1_000)
  return command(
    ST_SESSIONS,
    CC_DICTIONARY_ATTACK_PARAMETERS,
    Buffer.concat([words(RH_LOCKOUT), EMPTY_PASSWORD, parameters]),
  )
}

/** Asks for TPMA_PERMANENT. */
export function permanentCommand(): Buffer {
  return command(ST_NO_SESSIONS, CC_GET_CAPABILITY, words(CAP_TPM_PROPERTIES, PT_PERMANENT, 1))
}

/** Whether a TPM that answered {@link permanentCommand} so is locked. */
export function isLockedOut(response: Uint8Array): boolean {
  checkResponse('TPM2_GetCapability', response)
  const bytes = Buffer.from(response)
  // moreData, capability, count, property, value
  if (bytes.length < HEADER_BYTES + 17) throw malformed('TPM2_GetCapability', bytes)
  return (bytes.readUInt32BE(HEADER_BYTES + 13) & PERMANENT_IN_LOCKOUT) !== 0
}

/** Rejects with `TPM_REFUSED` and the meaning of the response code when the TPM refused. */
export function checkResponse(what: string, response: Uint8Array): void {
  const bytes = Buffer.from(response)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(2) !== bytes.length) throw malformed(what, bytes)
  const code = bytes.readUInt32BE(6)
  if (code === 0) return
  throw new BootwrightError('TPM_REFUSED', `The TPM refused ${what}: ${responseCodeWords(code)}`, {
    hint: 'The parentheses name what it objects to. A password that the guest has set keeps others from much.',
    detail: { code },
  })
}

function malformed(what: string, bytes: Buffer): BootwrightError {
  return new BootwrightError(
    'MALFORMED_INPUT',
    `The TPM answered ${what} with ${bytes.length} bytes that are no response`,
  )
}

export function command(tag: number, code: number, rest: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt16BE(tag, 0)
  header.writeUInt32BE(HEADER_BYTES + rest.byteLength, 2)
  header.writeUInt32BE(code, 6)
  return Buffer.concat([header, rest])
}

export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4)
  return bytes
}

/** A TPM2B of the parts. */
export function sized(...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([u16(content.length), content])
}

export function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, index * 2)
  return bytes
}
