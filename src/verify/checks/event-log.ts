import { explainPcrs, PCR_COUNT, type PcrBanks, userspaceExtends } from '../../measure/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

/** IMA extends PCR 10 by itself and keeps a log of its own. */
const IMA_PCR = 10
const IMA = '/sys/kernel/security/ima'

export const eventLogReplays: Check = {
  id: 'event-log',
  title: 'The event logs replay to the PCRs',
  async run({ guest }) {
    if (!(await guest.hasTpm())) return unsupported('the machine has no TPM')
    const [log, userspace, pcrs, hasIma] = await Promise.all([
      guest.eventLog(),
      guest.userspaceLog(),
      guest.pcrs(),
      guest.exists(IMA),
    ])
    const compared = hasIma ? without(pcrs, IMA_PCR) : pcrs
    const unexplained = explainPcrs(log, compared, userspaceExtends(userspace))
    const values = [...compared.values()].reduce((sum, bank) => sum + bank.size, 0)
    const facts = [
      `${values} PCR values from ${log.events.length} firmware and ${userspace.records.length} userspace records`,
      ...(hasIma ? ['PCR 10 left out: IMA extends it and keeps its own log'] : []),
    ]
    if (values === 0) return failed({ expected: 'PCR values', found: 'none', evidence: facts })
    // A value that was not read would be explained by anything.
    const unread = incomplete(pcrs)
    if (unread.length > 0) {
      const expected = `PCRs 0 to ${PCR_COUNT - 1} of every bank`
      return failed({ expected, found: unread.join('; '), evidence: facts })
    }
    if (unexplained.length === 0) return passed(...facts)
    return failed({
      expected: 'every PCR equal to the replay of the logs',
      found: `${unexplained.length} that differ`,
      evidence: [
        ...unexplained.map(
          ({ bank, pcr, replayed, found, explanation }) =>
            `PCR ${pcr} (${bank}): replayed ${replayed ?? 'nothing'}, found ${found} (${explanation.kind})`,
        ),
        ...facts,
      ],
    })
  },
}

/** Banks that miss PCRs, and which. */
function incomplete(banks: PcrBanks): string[] {
  return [...banks].flatMap(([bank, values]) => {
    const missing = Array.from({ length: PCR_COUNT }, (_, pcr) => pcr).filter((pcr) => !values.has(pcr))
    return missing.length === 0 ? [] : [`${bank} without PCR ${missing.join(', ')}`]
  })
}

function without(banks: PcrBanks, left: number): PcrBanks {
  return new Map([...banks].map(([bank, values]) => [bank, new Map([...values].filter(([pcr]) => pcr !== left))]))
}
