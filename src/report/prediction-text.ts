import {
  eventTypeName,
  type HashAlgorithm,
  type PredictedEvent,
  type PredictedPcrs,
  type PredictedRefusal,
  predictedDigest,
  predictPcrs,
} from '../measure/index.ts'

/** Version of the JSON below; raised when a field changes its meaning or goes. */
const SCHEMA = 1

/** What a prediction is about. */
export interface PredictedMachine {
  readonly image: { readonly name: string; readonly version: string; readonly identity: string }
  readonly firmware: string
  readonly cloud: string | undefined
  readonly banks: readonly HashAlgorithm[]
  readonly commandLine: string | undefined
  readonly events: readonly PredictedEvent[]
  readonly refusal: PredictedRefusal | undefined
}

/** Whether nothing in it is unknown. */
export function isComplete({ events }: Pick<PredictedMachine, 'events'>): boolean {
  return events.every(({ measured }) => measured.kind !== 'unknown')
}

/** PCR by PCR: its value, what it is made of, and why something cannot be known. */
export function predictionText(machine: PredictedMachine): string {
  const { image, firmware, cloud, banks, events } = machine
  const pcrs = predictPcrs(events, banks)
  const { refusal } = machine
  const lines = [`${image.name} ${image.version}  ${cloud ?? 'no cloud'}, firmware ${firmware}`, '']
  if (refusal !== undefined) {
    lines.push(
      `It will not boot: the ${refusal.by} refuses ${refusal.image} because of ${refusal.because}: ${refusal.why}.`,
      '',
    )
  }
  const indices = [...new Set(events.map(({ pcr }) => pcr))].sort((a, b) => a - b)
  for (const pcr of indices) {
    lines.push(`PCR ${pcr}`)
    for (const bank of banks) lines.push(`  ${bank}  ${valueText(pcrs, bank, pcr)}`)
    for (const event of events.filter((candidate) => candidate.pcr === pcr))
      lines.push(`    ${eventLine(event, banks)}`)
    lines.push('')
  }
  const unknown = events.filter(({ measured }) => measured.kind === 'unknown')
  lines.push(unknown.length === 0 ? 'Everything is known.' : 'What cannot be known:')
  for (const { pcr, what, measured } of unknown) {
    if (measured.kind === 'unknown') lines.push(`  PCR ${pcr}  ${what}: ${measured.why}`)
  }
  return `${lines.join('\n')}\n`
}

function valueText(pcrs: PredictedPcrs, bank: HashAlgorithm, pcr: number): string {
  const value = pcrs.get(bank)?.get(pcr)
  if (value === undefined || value.kind === 'unknown') return 'unknown'
  return value.values.join(' or ')
}

function eventLine(event: PredictedEvent, banks: readonly HashAlgorithm[]): string {
  // One is enough to tell it by.
  const bank = banks.includes('sha256') ? 'sha256' : banks[0]
  const digest = bank === undefined ? undefined : predictedDigest(event, bank)
  const shown = digest === undefined ? 'unknown'.padEnd(16) : Buffer.from(digest).toString('hex').slice(0, 16)
  const marks = [
    ...(event.isCalibrated === true ? ['calibrated'] : []),
    ...(event.group === undefined ? [] : ['perhaps']),
  ]
  return `${shown}  ${event.by.padEnd(11)}  ${event.what}${marks.length === 0 ? '' : `  (${marks.join(', ')})`}`
}

/** The same as plain data. */
export function predictionJson(machine: PredictedMachine): object {
  const { image, firmware, cloud, banks, commandLine, events } = machine
  const pcrs = [...predictPcrs(events, banks)].map(([bank, values]) => [
    bank,
    Object.fromEntries(
      [...values].map(([pcr, value]) => [
        pcr,
        value.kind === 'known' ? { values: value.values } : { unknown: value.why },
      ]),
    ),
  ])
  return {
    schema: SCHEMA,
    image,
    firmware,
    cloud: cloud ?? null,
    commandLine: commandLine ?? null,
    isComplete: isComplete(machine),
    refusal: machine.refusal ?? null,
    events: events.map((event) => eventJson(event, banks)),
    pcrs: Object.fromEntries(pcrs),
  }
}

function eventJson(event: PredictedEvent, banks: readonly HashAlgorithm[]): object {
  const { pcr, type, by, what, measured, isCalibrated, group } = event
  const digests = banks.flatMap((bank) => {
    const digest = predictedDigest(event, bank)
    return digest === undefined ? [] : [[bank, Buffer.from(digest).toString('hex')]]
  })
  return {
    pcr,
    type: type === 'word' ? 'word' : eventTypeName(type),
    by,
    what,
    ...(measured.kind === 'unknown' ? { unknown: measured.why } : { digests: Object.fromEntries(digests) }),
    ...(isCalibrated === true ? { isCalibrated } : {}),
    ...(group === undefined ? {} : { group }),
  }
}
