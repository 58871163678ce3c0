import { readFile, rename, writeFile } from 'node:fs/promises'
import {
  EFI_VARIABLE_BOOTSERVICE_ACCESS,
  EFI_VARIABLE_NON_VOLATILE,
  EFI_VARIABLE_RUNTIME_ACCESS,
  type EfiVariable,
  type EfiVariableChange,
  type EfiVariableName,
  parseEfiVariableStore,
  withEfiVariable,
  withoutEfiVariable,
} from '../formats/index.ts'

/** EFI_GLOBAL_VARIABLE: `BootOrder`, `PK`, `SecureBoot`, … */
export const EFI_GLOBAL_VARIABLE = '8be4df61-93ca-11d2-aa0d-00e098032b8c'

/** Non-volatile, and visible at runtime too: what most variables are. */
const USUAL_ATTRIBUTES = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS

/** The variables of a machine that is off. What is set or deleted is in its flash when the promise resolves. */
export interface EfiVariables extends Iterable<EfiVariable> {
  /** A variable by name, of the firmware's own vendor GUID unless another one is given. */
  get(name: string, vendorGuid?: string): EfiVariable | undefined
  /** Without attributes those that it had. No signature is needed or checked: this is the flash itself. */
  set(variable: Omit<EfiVariableChange, 'vendorGuid' | 'attributes'> & Partial<EfiVariableChange>): Promise<void>
  /** Resolves to whether it was there. */
  delete(name: string, vendorGuid?: string): Promise<boolean>
}

/** @param path a file like OVMF_VARS.fd; nothing else may write to it */
export async function efiVariables(path: string): Promise<EfiVariables> {
  let bytes: Uint8Array = await readFile(path)
  let { variables } = parseEfiVariableStore(bytes)
  const find = ({ name, vendorGuid }: EfiVariableName) =>
    variables.find((one) => one.name === name && one.vendorGuid === vendorGuid.toLowerCase())
  const store = async (changed: Uint8Array) => {
    const parsed = parseEfiVariableStore(changed)
    await writeFile(`${path}.new`, changed)
    await rename(`${path}.new`, path)
    bytes = changed
    variables = parsed.variables
  }
  return {
    [Symbol.iterator]: () => variables[Symbol.iterator](),
    get: (name, vendorGuid = EFI_GLOBAL_VARIABLE) => find({ name, vendorGuid }),
    async set({ vendorGuid = EFI_GLOBAL_VARIABLE, ...change }) {
      const attributes = change.attributes ?? find({ name: change.name, vendorGuid })?.attributes ?? USUAL_ATTRIBUTES
      await store(withEfiVariable(bytes, { ...change, vendorGuid, attributes }))
    },
    async delete(name, vendorGuid = EFI_GLOBAL_VARIABLE) {
      if (find({ name, vendorGuid }) === undefined) return false
      await store(withoutEfiVariable(bytes, { name, vendorGuid }))
      return true
    },
  }
}
