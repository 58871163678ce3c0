import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, unknownName } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'
import { withKeyEntry } from './key-enrolment.ts'
import { KEY_VARIABLES, type KeyVariable, type OwnKeys, ownKeys } from './own-keys.ts'

/** A variant of OVMF: its code and the variable store that a new machine starts with. */
export interface Firmware {
  readonly name: string
  readonly codePath: string
  readonly variablesPath: string
  /** Secure Boot builds keep their variables in SMM. */
  readonly needsSmm: boolean
  /** Trusted already, or handed over for the boot loader to enrol: images have to be signed with them. */
  readonly ownKeys?: { readonly keys: OwnKeys; readonly enrolled: 'already' | 'at-first-boot' }
}

interface FirmwareDescription {
  readonly title: string
  readonly code: string
  readonly variables: string
  readonly smm: boolean
  /** The variables that the user's own keys are put into, behind what is there; or the image brings them along. */
  readonly ownKeys?: readonly KeyVariable[] | 'at-first-boot'
}

const VARIABLES_FILE = 'variables.fd'

/** Names of the variants described in a firmware directory (`ovmf/*.json`). */
export async function firmwareNames(directory: string): Promise<string[]> {
  const entries = await readdir(directory).catch(() => [])
  return entries.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
}

/**
 * A variant by name, with the user's own keys enrolled where it wants them. Rejects with `UNKNOWN_NAME` and the list of
 * those that exist, and with `MALFORMED_INPUT` for a description that is none.
 */
export async function firmwareNamed(
  directory: string,
  name: string,
  toolchain: Toolchain,
  cache: Cache,
): Promise<Firmware> {
  const names = await firmwareNames(directory)
  if (!names.includes(name)) throw unknownName('firmware', name, names)
  const path = join(directory, `${name}.json`)
  const expected = (what: string, cause?: unknown) =>
    new BootwrightError('MALFORMED_INPUT', `Cannot read firmware "${name}": expected ${what} in ${path}`, { cause })
  let description: Partial<FirmwareDescription>
  try {
    description = (JSON.parse(await readFile(path, 'utf8')) ?? {}) as Partial<FirmwareDescription>
  } catch (cause) {
    throw expected('JSON', cause)
  }
  const file = (key: 'code' | 'variables'): string => {
    const value = description[key]
    if (typeof value === 'string') return join(toolchain.root, value)
    throw expected(`a path as "${key}"`)
  }
  const firmware = {
    name,
    codePath: file('code'),
    variablesPath: file('variables'),
    needsSmm: description.smm === true,
  }
  const wanted = description.ownKeys
  if (wanted === undefined) return firmware
  if (wanted !== 'at-first-boot' && !isKeyVariables(wanted)) {
    throw expected(`"at-first-boot" or some of ${KEY_VARIABLES.join(', ')} as "ownKeys"`)
  }
  const keys = await ownKeys(toolchain, cache)
  if (wanted === 'at-first-boot') return { ...firmware, ownKeys: { keys, enrolled: wanted } }
  const change = (store: Uint8Array): Uint8Array =>
    wanted.reduce(
      (changed, variable) =>
        withKeyEntry(changed, variable, { kind: 'x509', owner: keys.owner, data: keys.keys[variable].certificate }),
      store,
    )
  return { ...(await withChangedVariables(firmware, change, cache)), ownKeys: { keys, enrolled: 'already' } }
}

/** The firmware with another variable store, which is kept in the cache by its content. */
export async function withChangedVariables(
  firmware: Firmware,
  change: (store: Uint8Array) => Uint8Array,
  cache: Cache,
): Promise<Firmware> {
  const store = change(await readFile(firmware.variablesPath))
  const digest = createHash('sha256').update(store).digest('hex').slice(0, 16)
  const entry = await cache.entry('variables', digest, (directory) => writeFile(join(directory, VARIABLES_FILE), store))
  return { ...firmware, variablesPath: join(entry, VARIABLES_FILE) }
}

function isKeyVariables(value: unknown): value is readonly KeyVariable[] {
  return Array.isArray(value) && value.every((one) => KEY_VARIABLES.includes(one))
}
