import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isInFraction, isMachineId, parseFraction } from '../formats/index.ts'
import { fitsGlob } from './glob.ts'
import { hostSpecifiers, machineInfo, systemArchitecture } from './host-specifiers.ts'
import { detectVirtualization, isEfiBoot, judgeSecurity } from './suggest-security.ts'
import { judgeField, judgeOsRelease, judgeVersion } from './suggest-version.ts'
import type { OptionDefinition, SuggestCondition } from './types.ts'
import { isFileName, isNormalizedAbsolutePath, parseBoolean } from './values.ts'

/** Whether something is suggested to who runs this system, or why that cannot be told. */
export type Suggestion = boolean | 'Invalid argument' | 'Operation not supported' | 'Object is remote'

/**
 * Judges `Suggest=` and, without it, the `SuggestOn…=` conditions (sysupdate.features(5)): all must hold, and one of those
 * with `|`. They are judged as the conditions of units are (systemd.unit(5), `Condition…=`).
 */
export function suggestion({ suggest, suggestOn }: Pick<OptionDefinition, 'suggest' | 'suggestOn'>): Suggestion {
  if (suggest !== undefined) return suggest
  if (suggestOn.length === 0) return false
  const judged = suggestOn.map((condition) => ({ condition, result: judge(condition) }))
  const unknown = judged.find(({ result }) => typeof result === 'string')
  if (unknown !== undefined) return unknown.result
  const holds = judged.map(({ condition, result }) => ({ ...condition, holds: result !== condition.isNegated }))
  const triggers = holds.filter(({ isTrigger }) => isTrigger)
  const isRequired = holds.every(({ isTrigger, holds: one }) => isTrigger || one)
  return isRequired && (triggers.length === 0 || triggers.some(({ holds: one }) => one))
}

const JUDGES: Readonly<Record<string, (parameter: string) => Suggestion>> = {
  Architecture: (parameter) => parameter === 'native' || parameter === systemArchitecture(),
  KernelCommandLine: isOnCommandLine,
  Firmware: judgeFirmware,
  MachineTag: (parameter) => machineTags().some((tag) => fitsGlob(tag, parameter)),
  Host: judgeHost,
  Fraction: judgeFraction,
  Version: (parameter) => judgeVersion(parameter) ?? 'Invalid argument',
  OSRelease: (parameter) => judgeOsRelease(parameter) ?? 'Invalid argument',
  Virtualization: judgeVirtualization,
  Credential: judgeCredential,
  Security: (parameter) => judgeSecurity(parameter) ?? 'Operation not supported',
}

function judge({ subject, parameter }: SuggestCondition): Suggestion {
  return JUDGES[subject]?.(parameter) ?? 'Operation not supported'
}

function judgeFirmware(parameter: string): Suggestion {
  if (parameter === 'uefi') return isEfiBoot()
  if (parameter === 'device-tree') return existsSync('/sys/firmware/devicetree/')
  const compatible = /^device-tree-compatible\((.*)\)$/s.exec(parameter)?.[1]
  if (compatible !== undefined) return textOf('/proc/device-tree/compatible')?.split('\0').includes(compatible) ?? false
  if (!parameter.startsWith('smbios-field(')) return false
  const expression = /^smbios-field\((.*)\)$/s.exec(parameter)?.[1]
  if (expression === undefined) return 'Invalid argument'
  return judgeField(expression, (field) => textOf(`/sys/class/dmi/id/${field}`)) ?? 'Invalid argument'
}

/** A host name, or the identity of this installation, of this boot or of the machine. */
function judgeHost(parameter: string): boolean {
  const [id, boot, product] = [machineId(), hostSpecifiers('/')('b'), textOf('/sys/class/dmi/id/product_uuid')?.trim()]
  const plain = (text: string): string => text.replaceAll('-', '').toLowerCase()
  const isId = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.test(parameter)
  if (isId && [id, boot, product].some((one) => one !== undefined && plain(one) === plain(parameter))) return true
  return fitsGlob(hostname(), parameter, { ignoresCase: true })
}

function judgeVirtualization(parameter: string): Suggestion {
  if (parameter === 'private-users') {
    return detectVirtualization('--private-users')?.isSo ?? 'Operation not supported'
  }
  const found = detectVirtualization()
  if (found === undefined) return 'Operation not supported'
  const wanted = parseBoolean(parameter)
  if (wanted !== undefined) return wanted === found.isSo
  const isContainer = (): boolean => detectVirtualization('--container')?.isSo === true
  if (parameter === 'vm') return found.isSo && !isContainer()
  if (parameter === 'container') return isContainer()
  return found.isSo && found.id === parameter
}

/** Whether this service has a credential of this name, encrypted or not (systemd.exec(5), `LoadCredential=`). */
function judgeCredential(name: string): Suggestion {
  // What cannot be a name is a credential that nobody has.
  if (!isFileName(name) || !/^[ -9;-~]*$/.test(name)) return false
  for (const directory of [process.env.CREDENTIALS_DIRECTORY, process.env.ENCRYPTED_CREDENTIALS_DIRECTORY]) {
    if (directory === undefined) continue
    if (!isNormalizedAbsolutePath(directory)) return 'Invalid argument'
    if (lstatSync(`${directory}/${name}`, { throwIfNoEntry: false }) !== undefined) return true
  }
  return false
}

/** `TAGS=` of machine-info(5), with colons in between. */
function machineTags(): readonly string[] {
  return (machineInfo('/', 'TAGS') ?? '').split(':').filter(Boolean)
}

function machineId(): string | undefined {
  return hostSpecifiers('/')('m')
}

function judgeFraction(parameter: string): Suggestion {
  const id = machineId()
  if (id === undefined || !isMachineId(id)) return 'Operation not supported'
  try {
    return isInFraction(id, parseFraction(parameter))
  } catch {
    return 'Invalid argument'
  }
}

/** A word, or with `=` the whole assignment; a name alone fits an assignment to it as well. */
function isOnCommandLine(parameter: string): boolean {
  const words = readFileSync('/proc/cmdline', 'utf8').trim().split(/\s+/)
  return words.some((word) => word === parameter || (!parameter.includes('=') && word.startsWith(`${parameter}=`)))
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
