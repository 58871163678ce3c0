import { asciiLowerCase, type EfiVariable, type LoaderConf, matchesEntryPattern } from '../../../formats/index.ts'
import { type BootEntry, compareEntries } from './boot-entries.ts'
import { hasChange } from './systemd-changes.ts'

/** Vendor of systemd's variables (systemd, Boot Loader Interface). */
export const LOADER_GUID = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'

/**
 * The entry that systemd-boot starts when nobody touches its menu: asked for once, preferred, default in the variables,
 * then in loader.conf, else the first of the menu. Undefined if there are none.
 */
export function chooseEntry(
  entries: readonly BootEntry[],
  conf: LoaderConf,
  variables: readonly EfiVariable[],
  systemdVersion: number,
): BootEntry | undefined {
  const menu = [...entries].sort(compareEntries)
  const variable = (name: string): string | undefined => loaderText(variables, name)
  const find = (pattern: string | undefined, among = menu): BootEntry | undefined => {
    const meant = pattern?.toLowerCase() === '@saved' ? variable('LoaderEntryLastBooted') : pattern
    if (meant === undefined) return undefined
    return among.find(({ id }) => matchesEntryPattern(asciiLowerCase(meant), id))
  }
  const untried = hasChange(systemdVersion, 'preferredEntry') ? menu.filter(({ counter }) => counter?.left !== 0) : []
  return (
    find(variable('LoaderEntryOneShot')) ??
    find(variable('LoaderEntryPreferred'), untried) ??
    find(variable('LoaderEntryDefault')) ??
    find(conf.preferred, untried) ??
    find(conf.default) ??
    menu[0]
  )
}

export function loaderVariable(variables: readonly EfiVariable[], name: string): EfiVariable | undefined {
  return variables.find((variable) => variable.name === name && variable.vendorGuid.toLowerCase() === LOADER_GUID)
}

function loaderText(variables: readonly EfiVariable[], name: string): string | undefined {
  const found = loaderVariable(variables, name)
  return found === undefined ? undefined : Buffer.from(found.data).toString('utf16le').split('\0', 1)[0]
}
