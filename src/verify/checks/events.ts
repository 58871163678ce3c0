import { compareBoot, type EventFinding, summarizeFindings, wrongFindings } from '../../measure/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

/** Every measurement of the boot, one by one: equal values of a PCR do not tell which one was another. */
export const eventsAsPredicted: Check = {
  id: 'events',
  title: 'Every event of the boot is as predicted',
  async run({ guest, prediction }) {
    if (!(await guest.hasTpm())) return unsupported('the machine has no TPM')
    const [log, userspaceLog] = await Promise.all([guest.eventLog(), guest.userspaceLog()])
    if (log.banks.length === 0) return failed({ expected: 'an event log with digests', found: 'a log without any' })
    const findings = compareBoot(prediction.events, { log, userspaceLog })
    const counts = Object.fromEntries(summarizeFindings(findings))
    const equal = findings.filter(({ status }) => status === 'equal').length
    const unknown = findings.filter(({ status }) => status === 'unknown')
    const wrong = wrongFindings(findings)
    const summary = [
      `${equal} events are as predicted in ${log.banks.join(', ')}; ${unknown.length} cannot be predicted`,
      ...unknown.map(line),
    ]
    const [first] = wrong
    if (first === undefined && equal > 0) return { ...passed(...summary), counts }
    return {
      ...failed({
        expected: 'every event that is known to be as predicted',
        found: first === undefined ? 'no event that could be predicted' : line(first),
        evidence: [...wrong.map(line), ...summary],
        hint: 'Each line names what was measured otherwise. `bootwright predict` lists what was to be measured.',
      }),
      counts,
    }
  },
}

function line({ pcr, status, cause }: EventFinding): string {
  return `PCR ${pcr} ${status}: ${cause}`
}
