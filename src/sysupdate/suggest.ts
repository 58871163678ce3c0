import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isInFraction, isMachineId, parseFraction } from '../formats/index.ts'
import { hostSpecifiers, machineInfo, systemArchitecture } from './host-specifiers.ts'
import type { OptionDefinition, SuggestCondition } from './types.ts'

/** Whether something is suggested to who runs this system, or why that cannot be told. */
export type Suggestion = boolean | 'Invalid argument' | 'Operation not supported'

/**
 * Judges `Suggest=` and, without it, the `SuggestOn…=` conditions (sysupdate.features(5)): all must hold, and one of those
 * with `|`. Judged are architecture, kernel command line, firmware, machine tags, host names and fractions of a fleet; of the others it
 * is said that they are not.
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

function judge({ subject, parameter }: SuggestCondition): Suggestion {
  if (subject === 'Architecture') return parameter === systemArchitecture()
  if (subject === 'KernelCommandLine') return isOnCommandLine(parameter)
  if (subject === 'Firmware') return judgeFirmware(parameter)
  if (subject === 'MachineTag') return machineTags().some((tag) => fitsGlob(tag, parameter))
  if (subject === 'Host') return parameter === machineId() || fitsGlob(hostname(), parameter)
  if (subject === 'Fraction') return judgeFraction(parameter)
  return 'Operation not supported'
}

function judgeFirmware(parameter: string): Suggestion {
  if (parameter === 'uefi') return existsSync('/sys/firmware/efi')
  if (parameter === 'device-tree') return existsSync('/sys/firmware/devicetree')
  const field = /^smbios-field\((.*)\)$/s.exec(parameter)?.[1]
  if (field === undefined) return parameter.startsWith('device-tree-compatible(') ? 'Operation not supported' : false
  return /[=<>$]/.test(field) ? 'Operation not supported' : 'Invalid argument'
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

/** As fnmatch(3) has it, as far as stars, question marks and sets go. */
function fitsGlob(text: string, glob: string): boolean {
  const pattern = glob.replaceAll(/\[!?[^\]]*\]|[*?]|[\s\S]/g, (piece) => {
    if (piece === '*') return '.*'
    if (piece === '?') return '.'
    if (piece.length > 1) return piece.replace('[!', '[^')
    return piece.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&')
  })
  return new RegExp(`^${pattern}$`, 's').test(text)
}

/** A word, or with `=` the whole assignment; a name alone fits an assignment to it as well. */
function isOnCommandLine(parameter: string): boolean {
  const words = readFileSync('/proc/cmdline', 'utf8').trim().split(/\s+/)
  return words.some((word) => word === parameter || (!parameter.includes('=') && word.startsWith(`${parameter}=`)))
}
