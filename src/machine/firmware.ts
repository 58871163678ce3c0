import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, unknownName } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** A variant of OVMF: its code and the variable store that a new machine starts with. Paths of files of the toolchain. */
export interface Firmware {
  readonly name: string
  readonly codePath: string
  readonly variablesPath: string
  /** Secure Boot builds keep their variables in SMM. */
  readonly needsSmm: boolean
}

interface FirmwareDescription {
  readonly title: string
  readonly code: string
  readonly variables: string
  readonly smm: boolean
}

/** Names of the variants described in a firmware directory (`ovmf/*.json`). */
export async function firmwareNames(directory: string): Promise<string[]> {
  const entries = await readdir(directory).catch(() => [])
  return entries.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
}

/** Reads a variant by name; rejects with `UNKNOWN_NAME` and the list of those that exist. */
export async function firmwareNamed(directory: string, name: string, toolchain: Toolchain): Promise<Firmware> {
  const names = await firmwareNames(directory)
  if (!names.includes(name)) throw unknownName('firmware', name, names)
  const path = join(directory, `${name}.json`)
  const text = await readFile(path, 'utf8')
  let description: Partial<FirmwareDescription>
  try {
    description = (JSON.parse(text) ?? {}) as Partial<FirmwareDescription>
  } catch (cause) {
    throw new BootwrightError('MALFORMED_INPUT', `Cannot read firmware "${name}": expected JSON in ${path}`, { cause })
  }
  const file = (key: 'code' | 'variables'): string => {
    const value = description[key]
    if (typeof value === 'string') return join(toolchain.root, value)
    throw new BootwrightError(
      'MALFORMED_INPUT',
      `Cannot read firmware "${name}": expected a path as "${key}" in ${path}`,
    )
  }
  return {
    name,
    codePath: file('code'),
    variablesPath: file('variables'),
    needsSmm: description.smm === true,
  }
}
