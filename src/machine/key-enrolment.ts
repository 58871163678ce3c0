import {
  EFI_VARIABLE_BOOTSERVICE_ACCESS,
  EFI_VARIABLE_NON_VOLATILE,
  EFI_VARIABLE_RUNTIME_ACCESS,
  EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS,
  type EfiSignatureKind,
  efiSignatureType,
  parseEfiVariableStore,
  withEfiVariable,
  writeEfiSignatureLists,
} from '../formats/index.ts'
import { EFI_GLOBAL_VARIABLE } from './efi-variables.ts'

/** EFI_IMAGE_SECURITY_DATABASE_GUID: `db`, `dbx`, `dbt`. */
const IMAGE_SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'

/** What PK, KEK, db and dbx are stored with (UEFI 32.3). */
export const KEY_ATTRIBUTES =
  EFI_VARIABLE_NON_VOLATILE |
  EFI_VARIABLE_BOOTSERVICE_ACCESS |
  EFI_VARIABLE_RUNTIME_ACCESS |
  EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS

/** What a variable of Secure Boot is to hold as well. */
export interface KeyEntry {
  readonly kind: EfiSignatureKind
  readonly owner: string
  readonly data: Uint8Array
}

export function keyVariableGuid(name: string): string {
  return name === 'db' || name === 'dbx' ? IMAGE_SECURITY_DATABASE : EFI_GLOBAL_VARIABLE
}

/** The value of a variable with one entry: a signature list of its own. */
export function signatureList({ kind, owner, data }: KeyEntry): Uint8Array {
  const signature = { owner, data }
  return writeEfiSignatureLists([
    {
      type: efiSignatureType(kind),
      header: new Uint8Array(),
      signatureSize: 16 + data.byteLength,
      signatures: [signature],
    },
  ])
}

/**
 * The variable store with an entry behind those that PK, KEK, db or dbx has. This is the flash itself: no signature is
 * needed, and the firmware asks for none when it finds the result at its next start.
 */
export function withKeyEntry(store: Uint8Array, name: string, entry: KeyEntry): Uint8Array {
  const vendorGuid = keyVariableGuid(name)
  const { variables } = parseEfiVariableStore(store)
  const old = variables.find((variable) => variable.name === name && variable.vendorGuid === vendorGuid)
  const data = Buffer.concat([old?.data ?? new Uint8Array(), signatureList(entry)])
  return withEfiVariable(store, { name, vendorGuid, attributes: KEY_ATTRIBUTES, data })
}
