import {
  compareBoot,
  comparePcrs,
  explainPcrs,
  type PcrBanks,
  type PredictedEvent,
  type TcgEventLog,
  type UserspaceLog,
  userspaceExtends,
  wrongFindings,
} from '../measure/index.ts'

/** What a machine says that it has measured, and its host. */
export interface Measurements {
  readonly pcrs: PcrBanks
  /** What they are by what the host saw of the TPM; undefined for a machine that nobody watched. */
  readonly hostPcrs: PcrBanks | undefined
  /** Undefined where its kernel has none. */
  readonly log: TcgEventLog | undefined
  readonly userspaceLog: UserspaceLog
}

/** What is wrong and what is right, a sentence each. Nothing is wrong only where everything was compared. */
export interface Judgement {
  readonly wrong: readonly string[]
  readonly right: readonly string[]
}

/** IMA extends it by itself and keeps a log of its own. */
const IMA_PCR = 10

/** Every event is the predicted one, as far as it can be known, the logs lead to every PCR, and the host saw the same. */
export function judgeMeasurements(
  predicted: readonly PredictedEvent[] | undefined,
  { pcrs, hostPcrs, log, userspaceLog }: Measurements,
): Judgement {
  if (log === undefined) return { wrong: ['the kernel has no event log of the firmware'], right: [] }
  const judgements = [
    judgeEvents(predicted, log, userspaceLog),
    judgePcrs(pcrs, log, userspaceLog),
    ...(hostPcrs === undefined ? [] : [judgeGuest(pcrs, hostPcrs)]),
  ]
  return { wrong: judgements.flatMap(({ wrong }) => wrong), right: judgements.flatMap(({ right }) => right) }
}

function judgeEvents(
  predicted: readonly PredictedEvent[] | undefined,
  log: TcgEventLog,
  userspaceLog: UserspaceLog,
): Judgement {
  if (predicted === undefined) return { wrong: ['there is no image to predict the events from'], right: [] }
  if (log.banks.length === 0) return { wrong: ['the event log of the firmware has no digests'], right: [] }
  const findings = compareBoot(predicted, { log, userspaceLog })
  const equal = findings.filter(({ status }) => status === 'equal').length
  const unknown = findings.filter(({ status }) => status === 'unknown')
  return {
    wrong: wrongFindings(findings).map(({ pcr, status, cause }) => `PCR ${pcr} ${status}: ${cause}`),
    right: [
      `${equal} events in ${log.banks.join(', ')}`,
      ...unknown.map(({ pcr, cause }) => `besides PCR ${pcr}: ${cause}`),
    ],
  }
}

function judgePcrs(pcrs: PcrBanks, log: TcgEventLog, userspaceLog: UserspaceLog): Judgement {
  const compared: PcrBanks = new Map(
    [...pcrs].map(([bank, values]) => [bank, new Map([...values].filter(([pcr]) => pcr !== IMA_PCR))]),
  )
  const unexplained = explainPcrs(log, compared, userspaceExtends(userspaceLog))
  const wrong = unexplained.map(({ bank, pcr, replayed, found, explanation }) => {
    const values = `replayed ${replayed ?? 'nothing'}, found ${found}`
    return `PCR ${pcr} (${bank}) is not what the event logs lead to (${explanation.kind}): ${values}`
  })
  const count = [...compared.values()].reduce((sum, values) => sum + values.size, 0)
  const records = `${log.events.length} firmware and ${userspaceLog.records.length} userspace records`
  return { wrong, right: wrong.length > 0 ? [] : [`${count} PCR values replay from ${records}`] }
}

/** The guest is not its own witness. */
function judgeGuest(pcrs: PcrBanks, hostPcrs: PcrBanks): Judgement {
  const compared = comparePcrs(hostPcrs, pcrs)
  const lies = compared.filter(({ status }) => status !== 'equal')
  const wrong = lies.map(({ bank, pcr, expected, found = 'nothing' }) => {
    return `PCR ${pcr} (${bank}): the host saw what leads to ${expected}, the guest shows ${found}`
  })
  return { wrong, right: [`${compared.length - lies.length} PCR values are those that the host saw`] }
}
