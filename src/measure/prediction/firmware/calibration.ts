import { createHash } from 'node:crypto'
import type { TcgEvent, TcgEventLog } from '../../event-log.ts'
import { EV_EFI_VARIABLE_BOOT, EV_SEPARATOR } from '../../event-types.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'
import type { PredictedEvent } from '../event.ts'
import {
  EV_EFI_BOOT_SERVICES_DRIVER,
  EV_EFI_HANDOFF_TABLES,
  EV_EFI_PLATFORM_FIRMWARE_BLOB,
  EV_EFI_RUNTIME_SERVICES_DRIVER,
  EV_PLATFORM_CONFIG_FLAGS,
} from './records.ts'

/** Digests of the same bytes, in lower-case hexadecimal, for the banks that the log had. */
export type BankDigests = Readonly<Partial<Record<HashAlgorithm, string>>>

/**
 * Digests that only a run of the firmware can give, as plain data (JSON keeps it): they depend on the shape of the machine
 * (firmware, cores, memory, devices and their slots), and not on its disk, UUID, SMBIOS strings or clock.
 */
export interface Calibration {
  /** PEIFV, as it is when a build with SMM measures it. */
  readonly peifv?: BankDigests
  /** Blobs of fw_cfg that ACPI tables are made from, by name, in the order in which they are measured. */
  readonly acpi: Readonly<Record<string, BankDigests>>
  /** Drivers out of the option ROMs of devices, in order. */
  readonly optionRoms: readonly { readonly type: number; readonly digests: BankDigests }[]
  /** The SMBIOS table as edk2 measures it. */
  readonly handoffTables?: BankDigests
  /** `BootOrder`, then the boot options, in order. */
  readonly bootVariables: readonly { readonly name: string; readonly digests: BankDigests }[]
}

/** Names in fw_cfg (QEMU, docs/specs/fw_cfg.rst and vmgenid.rst). */
export const TPM_LOG_BLOB = 'etc/tpm/log'
export const GENERATION_ID_BLOB = 'etc/vmgenid_guid'

/** The TPM's log area in ACPI: nothing is in it when it is measured. */
const TPM_LOG_BYTES = 64 * 1024
const TPM_LOG_SHA256 = createHash('sha256').update(new Uint8Array(TPM_LOG_BYTES)).digest()

/**
 * What the event log of a firmware-only run gives for machines of the same shape. Never take it from the boot that is to
 * be judged: then the log would be its own witness.
 */
export function calibrationFrom(log: TcgEventLog): Calibration {
  const [peifv] = log.events.filter(
    ({ pcr, untrustedType }) => pcr === 0 && untrustedType === EV_EFI_PLATFORM_FIRMWARE_BLOB,
  )
  const handoffTables = log.events.find(
    ({ pcr, untrustedType }) => pcr === 1 && untrustedType === EV_EFI_HANDOFF_TABLES,
  )
  return {
    ...(peifv === undefined ? {} : { peifv: digestsIn(peifv) }),
    acpi: acpiBlobs(log),
    // Drivers that a boot loader starts are measured there too, but behind the separator.
    optionRoms: beforeSeparator(log, 2)
      .filter(
        ({ untrustedType: type }) => type === EV_EFI_BOOT_SERVICES_DRIVER || type === EV_EFI_RUNTIME_SERVICES_DRIVER,
      )
      .map((event) => ({ type: event.untrustedType, digests: digestsIn(event) })),
    ...(handoffTables === undefined ? {} : { handoffTables: digestsIn(handoffTables) }),
    bootVariables: beforeSeparator(log, 1)
      .filter(({ untrustedType }) => untrustedType === EV_EFI_VARIABLE_BOOT)
      .map((event) => ({ name: variableName(event), digests: digestsIn(event) })),
  }
}

/** A record of which only the digests are known, from a calibration. */
export function calibratedRecord(
  record: Pick<PredictedEvent, 'pcr' | 'type' | 'what'>,
  digests: BankDigests,
): PredictedEvent {
  const known = Object.entries(digests) as [HashAlgorithm, string][]
  return { ...record, by: 'firmware', measured: { kind: 'digests', digests: new Map(known) }, isCalibrated: true }
}

/** `etc/tpm/log` as QEMU makes it. */
export function tpmLogBlob(): Uint8Array {
  return new Uint8Array(TPM_LOG_BYTES)
}

/** QEMU's linker script allocates in the reverse order of its making; the log's records all say "ACPI DATA". */
function acpiBlobs(log: TcgEventLog): Record<string, BankDigests> {
  const records = beforeSeparator(log, 1).filter(({ untrustedType }) => untrustedType === EV_PLATFORM_CONFIG_FLAGS)
  const names = records.map((event, index) => {
    if (index === 0) return 'etc/table-loader'
    if (index === records.length - 1) return 'etc/acpi/tables'
    if (index === 1) return 'etc/acpi/rsdp'
    return isTpmLog(event) ? TPM_LOG_BLOB : GENERATION_ID_BLOB
  })
  return Object.fromEntries(records.map((event, index) => [unique(names, index), digestsIn(event)]))
}

/** A further blob, which a newer QEMU may have, keeps its place and gets a name of its own. */
function unique(names: readonly string[], index: number): string {
  const name = names[index] ?? ''
  return names.indexOf(name) === index ? name : `blob ${index}`
}

function isTpmLog({ digests }: TcgEvent): boolean {
  const sha256 = digests.get('sha256')
  if (sha256 !== undefined) return TPM_LOG_SHA256.equals(sha256)
  return [...digests].some(([bank, digest]) => createHash(bank).update(tpmLogBlob()).digest().equals(digest))
}

function beforeSeparator(log: TcgEventLog, pcr: number): TcgEvent[] {
  const ofPcr = log.events.filter((event) => event.pcr === pcr)
  const end = ofPcr.findIndex(({ untrustedType }) => untrustedType === EV_SEPARATOR)
  return end === -1 ? ofPcr : ofPcr.slice(0, end)
}

/** UEFI_VARIABLE_DATA: GUID, length of the name, length of the value, name. */
function variableName({ unverifiedData }: TcgEvent): string {
  const data = Buffer.from(unverifiedData)
  const units = data.byteLength < 32 ? 0 : data.readUInt32LE(16)
  return data.subarray(32, 32 + units * 2).toString('utf16le')
}

function digestsIn({ digests }: TcgEvent): BankDigests {
  return Object.fromEntries([...digests].map(([bank, digest]) => [bank, Buffer.from(digest).toString('hex')]))
}
