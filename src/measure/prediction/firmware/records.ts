import { parseGuid } from '../../../formats/index.ts'
import type { PredictedEvent } from '../event.ts'

/** Event types of the records that only firmware makes (TCG PC Client Platform Firmware Profile, 10.4.1). */
export const EV_PLATFORM_CONFIG_FLAGS = 0xa
export const EV_EFI_BOOT_SERVICES_DRIVER = 0x80000004
export const EV_EFI_RUNTIME_SERVICES_DRIVER = 0x80000005
export const EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x80000008
export const EV_EFI_HANDOFF_TABLES = 0x80000009

/** EFI_GLOBAL_VARIABLE: `SecureBoot`, `PK`, `KEK`, `BootOrder`, … */
export const GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
/** EFI_IMAGE_SECURITY_DATABASE_GUID: `db`, `dbx`, `dbt`. */
export const IMAGE_SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'

/** UEFI_VARIABLE_DATA: how an event log tells of a variable. */
export function uefiVariableData(vendorGuid: string, name: string, value: Uint8Array): Uint8Array {
  const lengths = Buffer.alloc(16)
  lengths.writeBigUInt64LE(BigInt(name.length), 0)
  lengths.writeBigUInt64LE(BigInt(value.byteLength), 8)
  return Buffer.concat([parseGuid(vendorGuid), lengths, Buffer.from(name, 'utf16le'), value])
}

/** A record of the firmware whose bytes are known, and logged as they are unless `data` says otherwise. */
export function firmwareRecord(
  record: Pick<PredictedEvent, 'pcr' | 'type' | 'what'> & { bytes: Uint8Array; data?: Uint8Array | 'varies' },
): PredictedEvent {
  const { bytes, data = bytes, ...facts } = record
  const event: PredictedEvent = { ...facts, by: 'firmware', measured: { kind: 'bytes', bytes } }
  return data === 'varies' ? event : { ...event, data }
}

/** A record of the firmware that cannot be computed. */
export function unknownRecord(record: Pick<PredictedEvent, 'pcr' | 'type' | 'what'>, why: string): PredictedEvent {
  return { ...record, by: 'firmware', measured: { kind: 'unknown', why } }
}
