import { BootwrightError } from '../../system/index.ts'
import type { TcgEventLog } from '../event-log.ts'
import type { HashAlgorithm } from '../hash-algorithms.ts'
import type { UserspaceLog } from '../userspace-log.ts'
import { actualEvents, eventsAsPredicted } from './actual-events.ts'
import { compareEvents, type EventFinding } from './compare-events.ts'

/** Both logs of one boot. */
export interface BootLogs {
  readonly log: TcgEventLog
  readonly userspaceLog?: UserspaceLog
}

/**
 * Compares the logs of two boots, the first one in the part of the prediction, in all banks that both have.
 * `INVALID_ARGUMENT` if there is none.
 */
export function compareEventLogs(expected: BootLogs, found: BootLogs): EventFinding[] {
  const banks = commonBanks(expected.log, found.log)
  const predicted = eventsAsPredicted(actualEvents(expected.log, expected.userspaceLog), banks)
  const findings = compareEvents(predicted, actualEvents(found.log, found.userspaceLog), banks)
  return [...localityFindings(expected.log, found.log), ...findings]
}

function commonBanks(expected: TcgEventLog, found: TcgEventLog): HashAlgorithm[] {
  const banks = expected.banks.filter((bank) => found.banks.includes(bank))
  if (banks.length > 0) return banks
  const names = (log: TcgEventLog): string => log.banks.join(', ') || 'none that is known here'
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `The logs have no PCR bank in common: one has ${names(expected)}, the other ${names(found)}`,
    { hint: 'Compare logs of machines whose TPMs have a bank in common.' },
  )
}

/** The locality is no event, and yet PCR 0 begins with it. */
function localityFindings({ startupLocality: expected }: TcgEventLog, { startupLocality: found }: TcgEventLog) {
  if (expected === found) return []
  const cause = `TPM started from locality: expected ${expected}, found ${found}; PCR 0 begins with another value`
  return [{ pcr: 0, status: 'different', cause } satisfies EventFinding]
}
