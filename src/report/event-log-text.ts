import { styleText } from 'node:util'
import {
  EV_NO_ACTION,
  eventTypeName,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  type PcrExplanation,
} from '../measure/index.ts'
import {
  type EventLogReport,
  hex,
  type ListedEvent,
  type ReportedDifference,
  type ReportedVerification,
} from './event-log-report.ts'
import { printable } from './printable.ts'
import type { TerminalOptions } from './terminal.ts'

type Color = 'red' | 'green' | 'yellow' | 'dim' | 'bold'
type Paint = (color: Color, text: string) => string

const SHOWN_DIGITS = 16
/** More than any command line; a hostile record may have megabytes. */
const SHOWN_TEXT = 4096
const NO_ACTION = eventTypeName(EV_NO_ACTION)
const NO_DIGEST = '-'.padEnd(SHOWN_DIGITS)
const MARKS = { equal: '=', different: '✗', missing: '-', unexpected: '+', unknown: '?' } as const
const COLORS = { equal: 'green', different: 'red', missing: 'red', unexpected: 'red', unknown: 'yellow' } as const
const COUNTED = ['predicted', 'equal', 'different', 'missing', 'unexpected', 'unknown'] as const

/** An event log for people: one line a record, then the PCR values that the records lead to. */
export function eventLogText(report: EventLogReport, options: TerminalOptions): string {
  const paint: Paint = (color, text) => (options.isColored ? styleText(color, text, { validateStream: false }) : text)
  const sections =
    report.differences === undefined
      ? [eventLines(report, paint), pcrLines(report, paint)]
      : [differenceLines(report.differences, paint), summaryLines(report.summary ?? {}, paint)]
  sections.push(
    report.irregularities.map((sentence) => paint('yellow', `note: ${shortened(sentence)}`)),
    report.verification === undefined ? [] : verificationLines(report.verification, paint),
  )
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`
}

function eventLines({ events, banks }: EventLogReport, paint: Paint): string[] {
  if (events.length === 0) return ['no records']
  const bank = HASH_ALGORITHMS.findLast((name) => banks.includes(name))
  const index = widest(events, ({ index: position }) => String(position), '#')
  const pcr = widest(events, place, 'PCR')
  const type = widest(events, ({ type: name }) => printable(name), 'type')
  const head = [
    '#'.padStart(index),
    'PCR'.padStart(pcr),
    'type'.padEnd(type),
    (bank ?? '').padEnd(SHOWN_DIGITS),
    'what the record says',
  ]
  const lines = [paint('dim', head.join('  '))]
  let log: ListedEvent['log'] = events[0]?.log ?? 'firmware'
  for (const event of events) {
    if (event.log !== log) lines.push(paint('dim', "systemd's log"))
    log = event.log
    const text = event.text === '' ? '' : `  ${shortened(event.text)}`
    const mark = event.data === 'contradicted' ? `  ${paint('red', '✗ contradicts its digest')}` : ''
    lines.push(
      `${String(event.index).padStart(index)}  ${place(event).padStart(pcr)}  ` +
        `${printable(event.type).padEnd(type)}  ${digestOf(event, bank)}${text}${mark}`.trimEnd(),
    )
  }
  return lines
}

/** Only where something was extended: the others have the values of every TPM after its start. */
function pcrLines({ pcrs, events }: EventLogReport, paint: Paint): string[] {
  const extended = new Set(events.filter(({ type }) => type !== NO_ACTION).map(({ pcr }) => String(pcr)))
  return Object.entries(pcrs).flatMap(([bank, values]) => {
    const lines = Object.entries(values)
      .filter(([pcr]) => extended.has(pcr))
      .map(([pcr, value]) => `  ${pcr.padStart(2)}  ${value}`)
    return lines.length === 0 ? [] : [paint('bold', bank), ...lines]
  })
}

function differenceLines(differences: readonly ReportedDifference[], paint: Paint): string[] {
  const told = differences.filter(({ status, cause }) => status !== 'equal' || cause !== '')
  if (told.length === 0) return [paint('green', 'the logs are alike')]
  return told.map(({ pcr, status, cause }) => {
    const mark = paint(COLORS[status], `${MARKS[status]} ${status.padEnd('unexpected'.length)}`)
    return `PCR ${String(pcr).padStart(2)}  ${mark}  ${shortened(cause)}`
  })
}

function summaryLines(summary: NonNullable<EventLogReport['summary']>, paint: Paint): string[] {
  const rows = Object.entries(summary)
  if (rows.length === 0) return []
  const head = ['PCR', ...COUNTED]
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => cell.padStart(head[column]?.length ?? 0)).join('  ')
  return [
    paint('dim', line(head)),
    ...rows.map(([pcr, counts]) => line([pcr, ...COUNTED.map((status) => String(counts[status] || '·'))])),
  ]
}

function verificationLines({ values, unexplained, notJudged }: ReportedVerification, paint: Paint): string[] {
  const lines = notJudged.map(
    ({ bank, pcr, why }) => `${paint('yellow', '–')} PCR ${pcr} (${bank}): not judged, ${why}`,
  )
  for (const { bank, pcr, replayed, found, explanation } of unexplained) {
    lines.push(
      `${paint('red', '✗')} PCR ${pcr} (${bank}): ${explanationText(explanation)}`,
      `    the logs lead to  ${replayed ?? 'nothing'}`,
      `    found             ${found}`,
    )
  }
  const fitting = values - unexplained.length
  const mark = unexplained.length === 0 && values > 0 ? paint('green', '✓') : paint('red', '✗')
  return [...lines, `${mark} ${fitting} of ${values} PCR values are those that the logs lead to`]
}

/** Why a value may differ from the replay, as a sentence. A hint, never a reason to accept it. */
export function explanationText(explanation: PcrExplanation): string {
  switch (explanation.kind) {
    case 'earlier-value': {
      const { records, of } = explanation
      return `it has the value of the first ${records} of ${of} records: it was read too early, or what follows was logged and never extended`
    }
    case 'lost-exit-boot-services':
      return `it fits with records that the firmware has extended and lost: ${explanation.actions.join(', ')}`
    case 'os-separator':
      return "it fits with systemd's os-separator behind these records: give its log as well"
    case 'no-digests':
      return 'the logs have no digests for this bank, or a record has none'
    case 'unknown':
      return 'the logs do not lead to it, and no reason is known'
  }
}

function widest(events: readonly ListedEvent[], cell: (event: ListedEvent) => string, head: string): number {
  return events.reduce((width, event) => Math.max(width, cell(event).length), head.length)
}

/** Numbers of PCRs above those of any TPM are written like types. */
function place({ pcr }: ListedEvent): string {
  if (pcr === undefined) return 'NV'
  return pcr < 1000 ? String(pcr) : `0x${pcr.toString(16)}`
}

function digestOf({ type, digests }: ListedEvent, bank: HashAlgorithm | undefined): string {
  const digest = bank === undefined ? undefined : digests.get(bank)
  // Nothing was extended for EV_NO_ACTION, and what stands there is zeros.
  return digest === undefined || type === NO_ACTION ? NO_DIGEST : hex(digest.subarray(0, SHOWN_DIGITS / 2))
}

function shortened(text: string): string {
  return printable(text.length <= SHOWN_TEXT ? text : `${text.slice(0, SHOWN_TEXT)}…`)
}
