import {
  actualEvents,
  type BootLogs,
  checkEventData,
  compareEventLogs,
  type Digests,
  type EventDataTrust,
  type EventFinding,
  type EventPayload,
  eventTypeName,
  explainPcrs,
  type FindingCounts,
  type FindingStatus,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  measuredBytes,
  type PcrBanks,
  type PcrExplanation,
  payloadText,
  predictedDigests,
  replayEventLog,
  summarizeFindings,
  type TcgEvent,
  type TcgEventLog,
  type UserspaceLog,
  type UserspaceRecord,
  unverifiedPayload,
  userspaceExtends,
} from '../measure/index.ts'

/** One record, of either log. */
export interface ListedEvent {
  readonly log: 'firmware' | 'userspace'
  /** Position in its log, from 0. */
  readonly index: number
  /** Byte offset in its log. */
  readonly offset: number
  /** Absent for a record of an NvPCR. */
  readonly pcr?: number
  /** TPM handle of an NvPCR's index. */
  readonly nvIndex?: number
  /** `EV_IPL`, a number in hexadecimal for an unknown type; `phase` and the like for systemd's. No digest covers it. */
  readonly type: string
  readonly digests: Digests
  /** Digests of banks that are not handled here, by TPM_ALG_ID. */
  readonly otherDigests?: TcgEvent['otherDigests']
  /** Whether the payload is what was hashed: see `checkEventData()`. */
  readonly data: EventDataTrust
  /** In one line. */
  readonly text: string
  readonly payload: EventPayload | ({ readonly kind: 'word' } & UserspaceRecord['unverified'])
}

/** A PCR that the logs do not lead to. */
export interface ReportedMismatch {
  readonly bank: string
  readonly pcr: number
  readonly replayed?: string
  readonly found: string
  readonly explanation: PcrExplanation
}

export interface ReportedVerification {
  readonly fits: boolean
  /** How many values were looked at. */
  readonly values: number
  readonly unexplained: readonly ReportedMismatch[]
  /** Values that no record of these logs is about, though something else has a log of them: IMA's PCR. */
  readonly notJudged: readonly { readonly bank: string; readonly pcr: number; readonly why: string }[]
}

export interface ReportedDifference {
  readonly pcr: number
  readonly status: FindingStatus
  /** What was expected: absent for an unexpected record. */
  readonly what?: string
  readonly cause: string
  /** Of bytes that are at hand in all banks, else those that the record has. */
  readonly expected?: Readonly<Record<string, string>>
  /** Digests of the record in the other log, and where in it that is. */
  readonly found?: Readonly<Record<string, string>>
  readonly record?: { readonly log: 'firmware' | 'userspace'; readonly offset: number }
}

/** What `eventlog` tells. */
export interface EventLogReport {
  readonly format: TcgEventLog['format'] | 'userspace'
  /** The banks whose digests the records have. */
  readonly banks: readonly HashAlgorithm[]
  readonly events: readonly ListedEvent[]
  /** What the firmware's log, followed by systemd's, leads to. Empty without a firmware's log, which comes first. */
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly irregularities: readonly string[]
  readonly verification?: ReportedVerification
  readonly differences?: readonly ReportedDifference[]
  /** Findings by PCR. */
  readonly summary?: Readonly<Record<string, FindingCounts>>
}

export interface EventLogInput {
  readonly log?: TcgEventLog
  readonly userspaceLog?: UserspaceLog
  /** Values that the TPM had. */
  readonly actual?: PcrBanks
  /** Logs of another boot, compared with these. Needs `log`. */
  readonly other?: BootLogs
  /** Nothing but these PCRs. */
  readonly only?: ReadonlySet<number>
}

/** IMA extends it, and keeps a log of its own. */
const IMA_PCR = 10
/** Events of systemd whose text is what was hashed; of others it may be a description. */
const HASHED_WORDS: ReadonlySet<string> = new Set([
  'phase',
  'filesystem',
  'machine-id',
  'nvpcr-init',
  'nvpcr-separator',
  'os-separator',
])
/** systemd cuts the text of a record there. */
const MAX_WORD = 1024

/** Puts together what is asked of one boot's logs. */
export function eventLogReport(input: EventLogInput): EventLogReport {
  const { log, userspaceLog, actual, other, only } = input
  const isShown = (pcr: number | undefined): boolean => only === undefined || (pcr !== undefined && only.has(pcr))
  const events = [
    ...(log?.events ?? []).filter(({ pcr }) => isShown(pcr)).map(firmwareEvent),
    ...(userspaceLog?.records ?? []).map(userspaceEvent).filter(({ pcr }) => isShown(pcr)),
  ]
  const { pcrs, gaps } = replayed(input, isShown)
  return {
    format: log?.format ?? 'userspace',
    banks: log?.banks ?? userspaceBanks(userspaceLog),
    events,
    pcrs,
    irregularities: [...(log?.irregularities ?? []), ...gaps, ...wordIrregularities(userspaceLog)],
    ...(log === undefined || actual === undefined
      ? {}
      : { verification: verified(log, userspaceLog, actual, isShown) }),
    ...(log === undefined || other === undefined ? {} : compared(logsOf(log, userspaceLog), other, isShown)),
  }
}

/** Whether everything that was asked for holds: the values fit, the logs are alike. */
export function eventLogHolds({ verification, differences = [] }: EventLogReport): boolean {
  return verification?.fits !== false && differences.every(({ status }) => status === 'equal')
}

function firmwareEvent(event: TcgEvent): ListedEvent {
  const payload = unverifiedPayload(event)
  return {
    log: 'firmware',
    index: event.index,
    offset: event.offset,
    pcr: event.pcr,
    type: eventTypeName(event.untrustedType),
    digests: event.digests,
    otherDigests: event.otherDigests,
    data: checkEventData(event),
    text: payloadText(payload),
    payload,
  }
}

function userspaceEvent(record: UserspaceRecord, index: number): ListedEvent {
  const { target, unverified, offset } = record
  const text = unverified.string ?? ''
  return {
    log: 'userspace',
    index,
    offset,
    ...(target.kind === 'pcr' ? { pcr: target.pcr } : { nvIndex: target.nvIndex }),
    type: unverified.eventType ?? 'word',
    digests: record.digests,
    data: wordTrust(record),
    text: unverified.nvIndexName === undefined ? text : `${unverified.nvIndexName}: ${text}`,
    payload: { kind: 'word', ...unverified },
  }
}

function wordTrust(record: UserspaceRecord): EventDataTrust {
  const bytes = measuredBytes({ pcr: 0, type: 'word', digests: record.digests, record })
  if (bytes !== undefined) return 'verified'
  const { eventType = '', string = '' } = record.unverified
  return HASHED_WORDS.has(eventType) && string.length < MAX_WORD ? 'contradicted' : 'description'
}

/** By bank, as lower-case hexadecimal text. */
export function hexDigests(digests: Digests): Record<string, string> {
  return Object.fromEntries([...digests].map(([bank, digest]) => [bank, hex(digest)]))
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

function userspaceBanks(log: UserspaceLog | undefined): HashAlgorithm[] {
  return HASH_ALGORITHMS.filter((bank) => log?.records.some(({ digests }) => digests.has(bank)))
}

/** Values by bank and PCR, and sentences about those that cannot be computed. */
function replayed(input: EventLogInput, isShown: (pcr: number) => boolean) {
  if (input.log === undefined) return { pcrs: {}, gaps: [] }
  const { values, gaps } = replayEventLog(input.log, wordsOf(input.userspaceLog))
  return {
    pcrs: Object.fromEntries(
      [...values].map(([bank, ofBank]) => [bank, Object.fromEntries([...ofBank].filter(([pcr]) => isShown(pcr)))]),
    ),
    gaps: gaps.map(({ bank, pcr }) => `PCR ${pcr} has no value in bank ${bank}: a record has no digest for it`),
  }
}

function wordsOf(userspaceLog: UserspaceLog | undefined) {
  return userspaceLog === undefined ? [] : userspaceExtends(userspaceLog)
}

function wordIrregularities(log: UserspaceLog | undefined): string[] {
  if (log === undefined) return []
  return [
    ...log.unfinished.map(
      ({ offset, size }) => `the record of ${size} bytes at offset ${offset} of systemd's log was never finished`,
    ),
    ...(log.isDirty
      ? ["systemd's log is marked as dirty: something may have been extended that it does not have"]
      : []),
  ]
}

function verified(
  log: TcgEventLog,
  userspaceLog: UserspaceLog | undefined,
  actual: PcrBanks,
  isShown: (pcr: number) => boolean,
): ReportedVerification {
  const words = wordsOf(userspaceLog)
  const hasImaRecord = [...actualEvents(log), ...words].some(({ pcr }) => pcr === IMA_PCR)
  const judged = new Map<HashAlgorithm, Map<number, string>>()
  const notJudged: { bank: string; pcr: number; why: string }[] = []
  for (const [bank, values] of actual) {
    const ofBank = new Map<number, string>()
    judged.set(bank, ofBank)
    for (const [pcr, value] of values) {
      if (!isShown(pcr)) continue
      const isIma = pcr === IMA_PCR && !hasImaRecord && /[1-9a-f]/.test(value)
      if (isIma) notJudged.push({ bank, pcr, why: 'IMA extends it and keeps a log of its own' })
      else ofBank.set(pcr, value)
    }
  }
  const unexplained = explainPcrs(log, judged, words).map(({ replayed, ...rest }): ReportedMismatch => {
    return { ...rest, ...(replayed === undefined ? {} : { replayed }) }
  })
  const values = [...judged.values()].reduce((sum, { size }) => sum + size, 0)
  // No value at all would fit anything.
  return { fits: unexplained.length === 0 && values > 0, values, unexplained, notJudged }
}

function logsOf(log: TcgEventLog, userspaceLog: UserspaceLog | undefined): BootLogs {
  return userspaceLog === undefined ? { log } : { log, userspaceLog }
}

function compared(expected: BootLogs, found: BootLogs, isShown: (pcr: number) => boolean) {
  const findings = compareEventLogs(expected, found).filter(({ pcr }) => isShown(pcr))
  const summary = Object.fromEntries(summarizeFindings(findings))
  return { differences: findings.map(difference), summary }
}

function difference({ pcr, status, cause, predicted, actual }: EventFinding): ReportedDifference {
  return {
    pcr,
    status,
    ...(predicted === undefined
      ? {}
      : { what: predicted.what, expected: hexDigests(predictedDigests(predicted, HASH_ALGORITHMS)) }),
    cause,
    ...(actual === undefined
      ? {}
      : {
          found: hexDigests(actual.digests),
          record: { log: actual.type === 'word' ? 'userspace' : 'firmware', offset: actual.record.offset },
        }),
  }
}
