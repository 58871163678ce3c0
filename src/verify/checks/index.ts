import type { Check } from '../check.ts'
import { cloudRecognised, imdsCredentials, imdsHostname } from './cloud.ts'
import { eventLogReplays } from './event-log.ts'
import { eventsAsPredicted } from './events.ts'
import { failedUnits } from './failed-units.ts'
import { hostWitness } from './host-witness.ts'
import { journalErrors } from './journal-errors.ts'
import { pcr11 } from './pcr-11.ts'
import { pcrs } from './pcrs.ts'
import { systemState } from './system-state.ts'
import { tpmPresent } from './tpm-present.ts'

/** Every check of `verify`, in the order in which they are asked. */
export const CHECKS: readonly Check[] = [
  systemState,
  failedUnits,
  journalErrors,
  tpmPresent,
  hostWitness,
  eventLogReplays,
  pcr11,
  pcrs,
  eventsAsPredicted,
  cloudRecognised,
  imdsHostname,
  imdsCredentials,
]
