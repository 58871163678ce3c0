import {
  compareBoot,
  explainPcrs,
  type PcrBanks,
  summarizeFindings,
  userspaceExtends,
  wrongFindings,
} from '../measure/index.ts'
import { type AttestationFinding, failed, passed, unsupported } from './attestation-report.ts'
import type { Evidence } from './evidence.ts'
import type { Expectation } from './judge.ts'

/** IMA extends it by itself and keeps a log of its own. */
const IMA_PCR = 10

export function judgeEventLogs({ logs }: Evidence, quoted: PcrBanks | undefined): AttestationFinding {
  if (logs === undefined) return unsupported('no event log was given')
  if (quoted === undefined) return unsupported('there are no values to hold the event logs against')
  const { log, userspaceLog } = logs
  const more = userspaceLog === undefined ? [] : userspaceExtends(userspaceLog)
  const hasImaRecords = [...log.events, ...more].some(({ pcr }) => pcr === IMA_PCR)
  const compared: PcrBanks = hasImaRecords ? quoted : without(quoted, IMA_PCR)
  const left = count(quoted) - count(compared)
  const records = `${log.events.length} firmware and ${userspaceLog?.records.length ?? 0} userspace records`
  const facts = [
    `${count(compared)} quoted values, ${records}`,
    ...(left === 0 ? [] : ['PCR 10 left out: IMA extends it and keeps its own log']),
  ]
  const wrong = explainPcrs(log, compared, more).map(
    ({ bank, pcr, replayed, found, explanation }) =>
      `PCR ${pcr} (${bank}): replayed ${replayed ?? 'nothing'}, quoted ${found} (${explanation.kind})`,
  )
  if (count(compared) === 0) return unsupported('the quote is about no PCR that the event logs lead to', ...facts)
  if (wrong.length === 0) return passed(...facts)
  return failed('every quoted PCR equal to the replay of the logs', `${wrong.length} that differ`, ...wrong, ...facts)
}

export function judgePcrs(quoted: PcrBanks | undefined, { pcrs }: Expectation): AttestationFinding {
  if (pcrs === undefined) return unsupported('no prediction was given')
  if (quoted === undefined) return unsupported('there are no values to hold against the prediction')
  const right: string[] = []
  const wrong: { expected: string; found: string }[] = []
  const unknown: string[] = []
  for (const [bank, values] of quoted) {
    for (const [pcr, found] of values) {
      const name = `PCR ${pcr} (${bank})`
      const value = pcrs.get(bank)?.get(pcr)
      if (value === undefined) unknown.push(`${name} is not in the prediction`)
      else if (value.kind === 'unknown') unknown.push(`${name} cannot be predicted: ${value.why.join('; ')}`)
      else if (value.values.includes(found)) right.push(name)
      else wrong.push({ expected: `${name} ${value.values.join(' or ')}`, found })
    }
  }
  const [first] = wrong
  const facts = [`${right.length} values are as predicted, ${unknown.length} cannot be`, ...unknown]
  if (first !== undefined) {
    const lines = wrong.map(({ expected, found }) => `predicted ${expected}, quoted ${found}`)
    return failed(first.expected, first.found, ...lines, ...facts)
  }
  if (right.length === 0) return unsupported('the prediction knows no PCR that the quote is about', ...facts)
  return passed(...facts)
}

/** Events of PCRs that nobody has quoted are not proven, and not judged. */
export function judgeEvents(
  { logs }: Evidence,
  quoted: PcrBanks | undefined,
  { events }: Expectation,
): AttestationFinding {
  if (events === undefined) return unsupported('no prediction of events was given')
  if (logs === undefined) return unsupported('no event log was given')
  if (logs.log.banks.length === 0) return failed('an event log with digests', 'a log without any')
  const proven = new Set([...(quoted?.values() ?? [])].flatMap((values) => [...values.keys()]))
  const findings = compareBoot(events, logs).filter(({ pcr }) => proven.has(pcr))
  const counts = Object.fromEntries(summarizeFindings(findings))
  const wrong = wrongFindings(findings).map(({ pcr, status, cause }) => `PCR ${pcr} ${status}: ${cause}`)
  const unknown = findings.filter(({ status }) => status === 'unknown')
  const equal = findings.filter(({ status }) => status === 'equal').length
  const facts = [
    `${equal} events are as predicted in ${logs.log.banks.join(', ')}; ${unknown.length} cannot be predicted`,
    ...unknown.map(({ pcr, cause }) => `PCR ${pcr} unknown: ${cause}`),
  ]
  const [first] = wrong
  if (first === undefined && equal > 0) return { ...passed(...facts), counts }
  const found = first ?? 'no event that could be predicted'
  return { ...failed('every event that is known to be as predicted', found, ...wrong, ...facts), counts }
}

function without(banks: PcrBanks, left: number): PcrBanks {
  return new Map([...banks].map(([bank, values]) => [bank, new Map([...values].filter(([pcr]) => pcr !== left))]))
}

function count(banks: PcrBanks): number {
  return [...banks.values()].reduce((sum, values) => sum + values.size, 0)
}
