import {
  type EfiSignatureList,
  type EfiVariable,
  type EfiVariableStore,
  parseEfiSignatureLists,
} from '../../../formats/index.ts'
import { EV_EFI_VARIABLE_DRIVER_CONFIG } from '../../event-types.ts'
import type { PredictedEvent } from '../event.ts'
import type { OvmfFirmware } from './ovmf.ts'
import { firmwareRecord, GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, uefiVariableData } from './records.ts'

/** Whether images have to be signed, and by whom. */
export interface SecureBootState {
  /**
   * - `unsupported`: the build has no Secure Boot;
   * - `setup-mode`: no platform key is enrolled;
   * - `disabled`: keys are enrolled, but it is switched off;
   * - `enabled`: images are verified.
   */
  readonly mode: 'unsupported' | 'setup-mode' | 'disabled' | 'enabled'
  readonly db: readonly EfiSignatureList[]
  readonly dbx: readonly EfiSignatureList[]
}

/** EDK2's own switch, in the firmware's setup. */
const SECURE_BOOT_ENABLE = 'f0a30bc7-af08-4556-99c4-001009c93a44'

/** The variables that are measured even if there are none, in order. */
const ALWAYS_MEASURED = [
  [GLOBAL_VARIABLE, 'PK'],
  [GLOBAL_VARIABLE, 'KEK'],
  [IMAGE_SECURITY_DATABASE, 'db'],
  [IMAGE_SECURITY_DATABASE, 'dbx'],
] as const

type Store = Pick<EfiVariableStore, 'variables'>

/** What a machine with this firmware makes of its variables at power-on (edk2, AuthVariableLib). */
export function secureBootState(firmware: Pick<OvmfFirmware, 'hasSecureBoot'>, store: Store): SecureBootState {
  const lists = (name: string): EfiSignatureList[] =>
    parseEfiSignatureLists(variableValue(store, IMAGE_SECURITY_DATABASE, name))
  return { mode: secureBootMode(firmware, store), db: lists('db'), dbx: lists('dbx') }
}

/** The records of SecureBoot, PK, KEK, db, dbx and, if there is one, dbt in PCR 7. One that is missing has no data. */
export function secureBootVariableEvents(
  firmware: Pick<OvmfFirmware, 'hasSecureBoot'>,
  store: Store,
): PredictedEvent[] {
  // The variable itself is made anew at each start and never stored.
  const mode = secureBootMode(firmware, store)
  const secureBoot = mode === 'unsupported' ? Buffer.alloc(0) : Buffer.of(mode === 'enabled' ? 1 : 0)
  const dbt = variableValue(store, IMAGE_SECURITY_DATABASE, 'dbt')
  return [
    variableEvent(GLOBAL_VARIABLE, 'SecureBoot', secureBoot),
    ...ALWAYS_MEASURED.map(([guid, name]) => variableEvent(guid, name, variableValue(store, guid, name))),
    ...(dbt.byteLength === 0 ? [] : [variableEvent(IMAGE_SECURITY_DATABASE, 'dbt', dbt)]),
  ]
}

function secureBootMode({ hasSecureBoot }: Pick<OvmfFirmware, 'hasSecureBoot'>, store: Store): SecureBootState['mode'] {
  if (!hasSecureBoot) return 'unsupported'
  if (variableValue(store, GLOBAL_VARIABLE, 'PK').byteLength === 0) return 'setup-mode'
  const [isEnabled] = variableValue(store, SECURE_BOOT_ENABLE, 'SecureBootEnable')
  // With a platform key and no word about it, the firmware switches it on.
  return isEnabled === undefined || isEnabled === 1 ? 'enabled' : 'disabled'
}

function variableValue(store: Store, vendorGuid: string, name: string): Uint8Array {
  const isIt = (one: EfiVariable): boolean => one.name === name && one.vendorGuid === vendorGuid
  return store.variables.find(isIt)?.data ?? new Uint8Array()
}

function variableEvent(vendorGuid: string, name: string, value: Uint8Array): PredictedEvent {
  return firmwareRecord({
    pcr: 7,
    type: EV_EFI_VARIABLE_DRIVER_CONFIG,
    what: `variable ${name}`,
    bytes: uefiVariableData(vendorGuid, name, value),
  })
}
