import { ByteReader } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { TcgEvent } from './event-log.ts'
import * as types from './event-types.ts'
import { type Digests, hashOf } from './hash-algorithms.ts'

/**
 * Whether the data of a record is what its digests were made of.
 *
 * - `verified`: every digest is that of the data, so the data may be believed once the digest is.
 * - `contradicted`: the type says that the data was hashed, but at least one digest differs.
 * - `description`: the data only describes what was hashed; the digests say nothing about it.
 */
export type EventDataTrust = 'verified' | 'contradicted' | 'description'

const HASHED_AS_LOGGED: ReadonlySet<number> = new Set([
  types.EV_SEPARATOR,
  types.EV_ACTION,
  types.EV_S_CRTM_VERSION,
  types.EV_EFI_VARIABLE_DRIVER_CONFIG,
  types.EV_EFI_GPT_EVENT,
  types.EV_EFI_ACTION,
])

/** Compares the data of a record with all its digests of known algorithms. */
export function checkEventData(event: TcgEvent): EventDataTrust {
  if (event.digests.size === 0) return 'description'
  if (HASHED_AS_LOGGED.has(event.untrustedType)) {
    return areDigestsOf(event.digests, event.unverifiedData) ? 'verified' : 'contradicted'
  }
  if (event.untrustedType === types.EV_EFI_VARIABLE_BOOT || event.untrustedType === types.EV_EFI_VARIABLE_BOOT2) {
    // edk2 hashes the value of the variable, other firmware the whole structure.
    const value = variableValue(event.unverifiedData)
    const { digests, unverifiedData: data } = event
    const matches = areDigestsOf(digests, data) || (value !== undefined && areDigestsOf(digests, value))
    return matches ? 'verified' : 'contradicted'
  }
  if (event.untrustedType === types.EV_EFI_VARIABLE_AUTHORITY) {
    // Some shims log one byte more than they hash (seen in four public logs).
    const { digests, unverifiedData: data } = event
    const matches = areDigestsOf(digests, data) || areDigestsOf(digests, data.subarray(0, -1))
    return matches ? 'verified' : 'contradicted'
  }
  return 'description'
}

/** Whether an EV_SEPARATOR record tells of an error: firmware then measures 0xffffffff (old) or 0x00000001. */
export function isErrorSeparator(event: TcgEvent): boolean {
  if (event.untrustedType !== types.EV_SEPARATOR || event.unverifiedData.byteLength !== 4) return false
  const value = new ByteReader(event.unverifiedData, 'EV_SEPARATOR').u32('value')
  return value === 0xffffffff || value === 1
}

/** A TCG_PCClientTaggedEvent, the data of an EV_EVENT_TAG record; undefined if the data is none. */
export function unverifiedTaggedEvent(
  event: Pick<TcgEvent, 'untrustedType' | 'unverifiedData'>,
): { readonly id: number; readonly bytes: Uint8Array } | undefined {
  if (event.untrustedType !== types.EV_EVENT_TAG) return undefined
  return orUndefined(() => {
    const reader = new ByteReader(event.unverifiedData, 'EV_EVENT_TAG')
    const id = reader.u32('taggedEventID')
    return { id, bytes: reader.bytes(reader.u32('taggedEventDataSize'), 'taggedEventData') }
  })
}

/** Whether bytes have these digests, all of them. Nothing has none. */
export function areDigestsOf(digests: Digests, bytes: Uint8Array): boolean {
  for (const [bank, digest] of digests) {
    if (Buffer.compare(digest, hashOf(bank, bytes)) !== 0) return false
  }
  return digests.size > 0
}

/** The value in a UEFI_VARIABLE_DATA structure; undefined if the bytes are none. */
function variableValue(bytes: Uint8Array): Uint8Array | undefined {
  return orUndefined(() => {
    const reader = new ByteReader(bytes, 'UEFI_VARIABLE_DATA')
    reader.guid('VariableName')
    const nameUnits = reader.safeU64('UnicodeNameLength')
    const valueBytes = reader.safeU64('VariableDataLength')
    reader.bytes(nameUnits * 2, 'UnicodeName')
    return reader.bytes(valueBytes, 'VariableData')
  })
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return undefined
    throw error
  }
}
