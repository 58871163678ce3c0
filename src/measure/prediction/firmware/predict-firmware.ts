import type { EfiVariableStore } from '../../../formats/index.ts'
import { parseGuid } from '../../../formats/index.ts'
import { EV_EFI_ACTION, EV_S_CRTM_VERSION, EV_SEPARATOR } from '../../event-types.ts'
import type { PredictedEvent } from '../event.ts'
import {
  type BootDevice,
  bootVariableEvents,
  calibratedBootVariables,
  freshBootVariables,
  storedBootVariables,
  unknownBootVariables,
} from './boot-variables.ts'
import { type Calibration, calibratedRecord, GENERATION_ID_BLOB, TPM_LOG_BLOB, tpmLogBlob } from './calibration.ts'
import type { OvmfFirmware } from './ovmf.ts'
import {
  EV_EFI_HANDOFF_TABLES,
  EV_EFI_PLATFORM_FIRMWARE_BLOB,
  EV_PLATFORM_CONFIG_FLAGS,
  firmwareRecord,
  unknownRecord,
} from './records.ts'
import { secureBootVariableEvents } from './secure-boot.ts'
import { measuredSmbiosTable } from './smbios-filter.ts'

/** What the firmware's measurements depend on, for a machine that starts from a disk. */
export interface FirmwareInputs {
  readonly firmware: OvmfFirmware
  /** As it is at power-on. */
  readonly variables: Pick<EfiVariableStore, 'variables'>
  /** The SMBIOS structure table as an operating system sees it; from the calibration without it. */
  readonly smbiosTable?: Uint8Array
  /** VM generation ID, for a machine that has one; from the calibration without it. */
  readonly generationId?: string
  /** For a store that has no boot options yet; from the calibration without it. */
  readonly bootDevice?: BootDevice
  /** From a firmware-only run of a machine of the same shape. What needs it is unknown without it. */
  readonly calibration?: Calibration
}

const SEPARATOR = new Uint8Array(4)
const CALLING = 'Calling EFI Application from Boot Option'
const NEEDS_CALIBRATION = 'it takes a run of the firmware alone on a machine of this shape to know'
/** The blob with the generation ID, and where in it that is (QEMU, docs/specs/vmgenid.rst). */
const GENERATION_ID_BYTES = 4096
const GENERATION_ID_OFFSET = 40

/**
 * All that OVMF measures until it starts the first boot option, in the order of its log: PCR 0, 7, 1, 2, 4, and the
 * separators of 0 to 7. What depends on the image it starts is not part of it: see `authorityEvents()`.
 */
export function predictFirmware(inputs: FirmwareInputs): PredictedEvent[] {
  const { firmware, variables } = inputs
  const handoffTables = handoffTablesEvent(inputs)
  return [
    ...platformCodeEvents(inputs),
    ...secureBootVariableEvents(firmware, variables),
    separator(7),
    ...acpiEvents(inputs),
    ...optionRomEvents(inputs),
    // Builds with SMM measure it when the boot manager is done with everything else.
    ...(firmware.hasSmm ? [] : [handoffTables]),
    ...bootEvents(inputs),
    firmwareRecord({ pcr: 4, type: EV_EFI_ACTION, what: `action "${CALLING}"`, bytes: Buffer.from(CALLING, 'latin1') }),
    ...[0, 1, 2, 3, 4, 5, 6].map(separator),
    ...(firmware.hasSmm ? [handoffTables] : []),
  ]
}

function platformCodeEvents({ firmware, calibration }: FirmwareInputs): PredictedEvent[] {
  const version = Buffer.from(`${firmware.version}\0`, 'utf16le')
  const blob = (what: string, bytes: Uint8Array): PredictedEvent =>
    firmwareRecord({ pcr: 0, type: EV_EFI_PLATFORM_FIRMWARE_BLOB, what, bytes, data: 'varies' })
  return [
    firmwareRecord({ pcr: 0, type: EV_S_CRTM_VERSION, what: `firmware version ${firmware.version}`, bytes: version }),
    firmware.hasSmm ? writtenPeifv(calibration) : blob('firmware volume PEIFV', firmware.peifv),
    blob('firmware volume DXEFV', firmware.dxefv),
  ]
}

/** Modules of a build with SMM run from this copy in memory, and leave traces in it before it is measured. */
function writtenPeifv(calibration: Calibration | undefined): PredictedEvent {
  const record = { pcr: 0, type: EV_EFI_PLATFORM_FIRMWARE_BLOB, what: 'firmware volume PEIFV' }
  const digests = calibration?.peifv
  return digests === undefined ? unknownRecord(record, NEEDS_CALIBRATION) : calibratedRecord(record, digests)
}

function acpiEvents({ calibration, generationId }: FirmwareInputs): PredictedEvent[] {
  const record = (name: string) => ({ pcr: 1, type: EV_PLATFORM_CONFIG_FLAGS, what: `ACPI blob ${name}` })
  const data = Buffer.from('ACPI DATA', 'latin1')
  const blobs = Object.entries(calibration?.acpi ?? {})
  if (blobs.length === 0) {
    const unknown = unknownRecord(record('etc/table-loader and those that it names'), NEEDS_CALIBRATION)
    return [{ ...unknown, standsFor: 'several' }]
  }
  return blobs.map(([name, digests]) => {
    if (name === TPM_LOG_BLOB) return firmwareRecord({ ...record(name), bytes: tpmLogBlob(), data })
    if (name === GENERATION_ID_BLOB && generationId !== undefined) {
      return firmwareRecord({ ...record(name), bytes: generationIdBlob(generationId), data })
    }
    return { ...calibratedRecord(record(name), digests), data }
  })
}

function generationIdBlob(generationId: string): Uint8Array {
  const blob = new Uint8Array(GENERATION_ID_BYTES)
  blob.set(parseGuid(generationId), GENERATION_ID_OFFSET)
  return blob
}

function optionRomEvents({ calibration }: FirmwareInputs): PredictedEvent[] {
  return (calibration?.optionRoms ?? []).map(({ type, digests }, index) =>
    calibratedRecord({ pcr: 2, type, what: `driver ${index + 1} out of an option ROM` }, digests),
  )
}

function handoffTablesEvent({ smbiosTable, calibration }: FirmwareInputs): PredictedEvent {
  const record = { pcr: 1, type: EV_EFI_HANDOFF_TABLES, what: 'SMBIOS structure table' }
  if (smbiosTable !== undefined) {
    return firmwareRecord({ ...record, bytes: measuredSmbiosTable(smbiosTable), data: 'varies' })
  }
  const digests = calibration?.handoffTables
  return digests === undefined ? unknownRecord(record, NEEDS_CALIBRATION) : calibratedRecord(record, digests)
}

function bootEvents({ firmware, variables, bootDevice, calibration }: FirmwareInputs): PredictedEvent[] {
  const stored = storedBootVariables(variables)
  if (stored !== undefined) return bootVariableEvents(stored)
  if (bootDevice !== undefined) return bootVariableEvents(freshBootVariables(firmware, bootDevice))
  if (calibration !== undefined && calibration.bootVariables.length > 0) return calibratedBootVariables(calibration)
  return [unknownBootVariables()]
}

function separator(pcr: number): PredictedEvent {
  return firmwareRecord({ pcr, type: EV_SEPARATOR, what: `separator of PCR ${pcr}`, bytes: SEPARATOR })
}
