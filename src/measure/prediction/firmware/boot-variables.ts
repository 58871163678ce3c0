import {
  bootOptionName,
  type EfiVariable,
  type EfiVariableStore,
  firmwareFileNode,
  firmwareVolumeNode,
  LOAD_OPTION_ACTIVE,
  LOAD_OPTION_CATEGORY_APP,
  LOAD_OPTION_HIDDEN,
  parseBootOrder,
  parseEfiLoadOption,
  parseGuid,
  pciNode,
  pciRootNode,
  writeDevicePath,
  writeEfiLoadOption,
} from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { EV_EFI_VARIABLE_BOOT } from '../../event-types.ts'
import type { PredictedEvent } from '../event.ts'
import { type Calibration, calibratedRecord } from './calibration.ts'
import { DXEFV, type OvmfFirmware, SHELL } from './ovmf.ts'
import { firmwareRecord, GLOBAL_VARIABLE, uefiVariableData, unknownRecord } from './records.ts'

/** Where on the root bus the disk with `bootindex=` is, the only one that OVMF connects then. */
export interface BootDevice {
  readonly pciDevice: number
  readonly pciFunction?: number
}

/** Applications in OVMF's volume (OvmfPkg, PlatformBootManagerLib). */
const BOOT_MANAGER_MENU = 'eec25bdc-67f2-4d95-b1d5-f81b2039d11d'
const FIRMWARE_SETUP = '462caa21-7614-4503-836e-8ab6f4662331'
/** Marks an option that the boot manager made by itself. */
const MADE_BY_BOOT_MANAGER = '8108ac4e-9f11-4d59-850e-e21a522c59b2'
/** The boot manager's name for a disk of a kind that it knows no name for, as virtio. */
const VIRTIO_DISK = 'UEFI Misc Device'

/** `BootOrder` and boot options as they are when the first one is started. */
export interface BootVariables {
  readonly order: readonly number[]
  /** Values of `Boot####` by number, for those in `order`. */
  readonly options: ReadonlyMap<number, Uint8Array>
}

/**
 * What OVMF makes of an empty store on a machine whose virtio disk has `bootindex=` and no other device has: its menu, its
 * setup, the disk, and the shell where the build has one; the disk comes first.
 */
export function freshBootVariables(firmware: Pick<OvmfFirmware, 'hasShell'>, device: BootDevice): BootVariables {
  const application = (file: string, description: string, isHidden = false): Uint8Array =>
    writeEfiLoadOption({
      attributes: LOAD_OPTION_ACTIVE | LOAD_OPTION_CATEGORY_APP | (isHidden ? LOAD_OPTION_HIDDEN : 0),
      description,
      filePathList: writeDevicePath([firmwareVolumeNode(DXEFV), firmwareFileNode(file)]),
      optionalData: new Uint8Array(),
    })
  const disk = writeEfiLoadOption({
    attributes: LOAD_OPTION_ACTIVE,
    description: VIRTIO_DISK,
    filePathList: writeDevicePath([pciRootNode(0), pciNode(device.pciDevice, device.pciFunction ?? 0)]),
    optionalData: parseGuid(MADE_BY_BOOT_MANAGER),
  })
  const options = new Map([
    [0, application(BOOT_MANAGER_MENU, 'BootManagerMenuApp', true)],
    [1, application(FIRMWARE_SETUP, 'EFI Firmware Setup')],
    [2, disk],
  ])
  if (firmware.hasShell) options.set(3, application(SHELL, 'EFI Internal Shell'))
  return { order: [2, 0, 1, ...(firmware.hasShell ? [3] : [])], options }
}

/**
 * What a store says that a boot of the same machine has left behind, where nothing was plugged in or out since; undefined
 * for a store without `BootOrder`.
 */
export function storedBootVariables(store: Pick<EfiVariableStore, 'variables'>): BootVariables | undefined {
  const find = (name: string): EfiVariable | undefined =>
    store.variables.find((one) => one.name === name && one.vendorGuid === GLOBAL_VARIABLE)
  const bootOrder = find('BootOrder')
  if (bootOrder === undefined) return undefined
  const order = parseBootOrder(bootOrder.data)
  const options = new Map<number, Uint8Array>()
  for (const number of order) {
    const option = find(bootOptionName(number))
    if (option !== undefined) options.set(number, option.data)
  }
  return { order, options }
}

/** The records of `BootOrder` and, in its order, of the boot options. What is hashed is their value, not the record's data. */
export function bootVariableEvents(variables: BootVariables): PredictedEvent[] {
  const order = Buffer.alloc(variables.order.length * 2)
  for (const [index, number] of variables.order.entries()) order.writeUInt16LE(number, index * 2)
  const options = variables.order.flatMap((number) => {
    const value = variables.options.get(number)
    return value === undefined ? [] : [bootVariable(bootOptionName(number), value, describe(value))]
  })
  return [bootVariable('BootOrder', order), ...options]
}

/** The same from a firmware-only run, of which the digests alone are known. */
export function calibratedBootVariables({ bootVariables }: Calibration): PredictedEvent[] {
  return bootVariables.map(({ name, digests }) =>
    calibratedRecord({ pcr: 1, type: EV_EFI_VARIABLE_BOOT, what: `variable ${name}` }, digests),
  )
}

/** For a store without boot options, and a machine of which no more is known. */
export function unknownBootVariables(): PredictedEvent {
  const unknown = unknownRecord(
    { pcr: 1, type: EV_EFI_VARIABLE_BOOT, what: 'variables BootOrder and Boot####' },
    'the variable store has none, and where the disk is that the machine starts from is not known',
  )
  return { ...unknown, standsFor: 'several' }
}

function bootVariable(name: string, value: Uint8Array, title?: string): PredictedEvent {
  return firmwareRecord({
    pcr: 1,
    type: EV_EFI_VARIABLE_BOOT,
    what: title === undefined ? `variable ${name}` : `variable ${name} (${title})`,
    bytes: value,
    data: uefiVariableData(GLOBAL_VARIABLE, name, value),
  })
}

/** The firmware measures a damaged option as well as any other one. */
function describe(value: Uint8Array): string | undefined {
  try {
    return parseEfiLoadOption(value).description
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return undefined
    throw error
  }
}
