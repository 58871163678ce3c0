import { resolve } from 'node:path'
import { MEASURED_SECTIONS, type MeasuredSectionName } from '../../measure/index.ts'
import { closest } from '../closest.ts'
import { type OptionSpec, parseArguments } from '../getopt.ts'
import type { JsonFormat } from '../json-format.ts'
import { ToolFailure } from '../tool-failure.ts'
import { bankNamed, sortedBanks } from './banks.ts'

export const VERBS = ['help', 'status', 'calculate', 'sign', 'policy-digest'] as const
export type Verb = (typeof VERBS)[number] | 'version'

/** A command line of systemd-measure(1). */
export interface MeasureOptions {
  readonly verb: Verb
  /** Files by section. */
  readonly sections: ReadonlyMap<MeasuredSectionName, string>
  readonly isCurrent: boolean
  /** Sorted, without duplicates; the four usual ones when none was given. */
  readonly banks: readonly string[]
  /** Sorted, without duplicates; undefined when none was given. */
  readonly phasePaths: readonly (readonly string[])[] | undefined
  /** Undefined when nothing was said of it. */
  readonly json: JsonFormat | undefined
  readonly policyRef: string | undefined
  readonly privateKey: string | undefined
  readonly privateKeySource: string
  readonly publicKey: string | undefined
  readonly certificate: string | undefined
  readonly certificateSource: string
  readonly append: string | undefined
}

/** In the order of the original's help, in which it lists what an ambiguous name may mean. */
const SECTION_ORDER = 'linux osrel cmdline initrd ucode splash dtb dtbauto uname sbat pcrpkey profile hwids efifw'
const SPECS: readonly OptionSpec[] = [
  { long: 'help', short: 'h' },
  { long: 'version' },
  { long: 'no-pager' },
  { long: 'current', short: 'c' },
  { long: 'phase', takes: 'argument' },
  { long: 'bank', takes: 'argument' },
  { long: 'tpm2-device', takes: 'argument' },
  { long: 'policyref', takes: 'argument' },
  { long: 'private-key', takes: 'argument' },
  { long: 'private-key-source', takes: 'argument' },
  { long: 'public-key', takes: 'argument' },
  { long: 'certificate', takes: 'argument' },
  { long: 'certificate-source', takes: 'argument' },
  { long: 'json', takes: 'argument' },
  { short: 'j' },
  { long: 'append', takes: 'argument' },
  ...SECTION_ORDER.split(' ').map((long): OptionSpec => ({ long, takes: 'argument' })),
]

/** Reads the command line; rejects with the original's words. */
export function parseMeasureOptions(program: string, argv: readonly string[]): MeasureOptions {
  const { options, words } = parseArguments(program, SPECS, argv)
  const sections = new Map<MeasuredSectionName, string>()
  const banks = new Set<string>()
  const phases: string[] = []
  const last = new Map<string, string>()
  let json: JsonFormat | undefined
  for (const { name, value = '' } of options) {
    const section = MEASURED_SECTIONS.find((known) => known === `.${name}`)
    if (section !== undefined) {
      if (value === '') sections.delete(section)
      else sections.set(section, resolve(value))
    } else if (name === 'bank') banks.add(bankNamed(value))
    else if (name === 'phase') phases.push(value)
    else if (name === 'json') json = jsonFormat(value)
    else if (name === 'j') json = 'auto'
    else last.set(name, value)
    // They end the program where they stand, whatever follows.
    if (name === 'help' || name === 'version') break
  }
  const isCurrent = last.has('current')
  if (isCurrent && sections.size > 0) {
    throw new ToolFailure('The --current switch cannot be used in combination with --linux= and related switches.')
  }
  const path = (name: string): string | undefined => {
    const value = last.get(name)
    return value === undefined || value === '' ? undefined : resolve(value)
  }
  const verb = last.has('help') ? 'help' : last.has('version') ? 'version' : verbOf(words)
  const sourceOf = (name: string): string => {
    const source = last.get(`${name}-source`) ?? 'file'
    if (source === 'file' || /^(?:provider|engine):./.test(source)) return source
    throw new ToolFailure(`Invalid ${name.replace('-', ' ')} source '${source}'`)
  }
  const privateKeySource = sourceOf('private-key')
  const certificateSource = sourceOf('certificate')
  if (last.has('private-key-source') && !last.has('certificate')) {
    throw new ToolFailure('When using --private-key-source=, --certificate= must be specified.')
  }
  return {
    verb,
    sections,
    isCurrent,
    banks: sortedBanks(banks),
    phasePaths: phases.length === 0 ? undefined : phasePaths(phases),
    json,
    policyRef: last.get('policyref') || undefined,
    privateKey: privateKeySource === 'file' ? path('private-key') : last.get('private-key'),
    privateKeySource,
    publicKey: path('public-key'),
    certificate: certificateSource === 'file' ? path('certificate') : last.get('certificate'),
    certificateSource,
    append: path('append'),
  }
}

function verbOf(words: readonly string[]): Verb {
  const [word = 'status', ...more] = words
  const verb = VERBS.find((known) => known === word)
  if (verb === undefined) {
    const near = closest(word, VERBS)
    throw new ToolFailure(`Unknown command verb '${word}'${near === undefined ? '.' : `, did you mean '${near}'?`}`)
  }
  if (more.length > 0) throw new ToolFailure('Too many arguments.')
  return verb
}

function jsonFormat(text: string): JsonFormat {
  if (text === 'pretty' || text === 'short' || text === 'off') return text
  throw new ToolFailure(`Unknown argument to --json= switch: ${text}`)
}

/** Words of a path without the empty ones; paths in order of their bytes, each once. */
function phasePaths(phases: readonly string[]): string[][] {
  const texts = phases.map((phase) => phase.split(':').filter(Boolean).join(':'))
  const sorted = [...new Set(texts)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return sorted.map((text) => (text === '' ? [] : text.split(':')))
}
