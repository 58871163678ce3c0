import {
  type HashAlgorithm,
  PCR_COUNT,
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
} from '../../measure/index.ts'
import { hostPcrs, readFirmwareLog, readPcrs, readUserspaceLog } from '../../scene/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { judgeMeasurements } from '../judge-measurements.ts'
import { eventually } from '../within.ts'
import { type Subject, subjectOf, type Verdict, verdict } from './subject.ts'
import type { Patience } from './system.ts'

/** The last measurement of a boot comes when it has finished: a moment later than who waits for a unit. */
const PATIENCE_MS = 5_000

/** Waits until a PCR has a value, in hexadecimal. */
export async function toHavePcr(
  received: unknown,
  index: number,
  value: string,
  { bank = 'sha256', withinMs = PATIENCE_MS }: Patience & { readonly bank?: HashAlgorithm } = {},
): Promise<Verdict> {
  const { machine } = subjectOf(received)
  if (!Number.isInteger(index) || index < 0 || index >= PCR_COUNT) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a PCR from 0 to ${PCR_COUNT - 1}, found ${index}`)
  }
  const wanted = value.toLowerCase()
  const banks = await eventually(
    withinMs,
    () => pcrsOf(machine),
    (read) => read.get(bank)?.get(index) === wanted,
  )
  const found = banks.get(bank)?.get(index)
  return verdict(
    found === wanted,
    [
      `Expected PCR ${index} of bank ${bank} to have another value`,
      `  expected  ${wanted}`,
      `  found     ${found ?? `no such bank; there are: ${[...banks.keys()].join(', ')}`}`,
    ],
    [`Expected PCR ${index} of bank ${bank} not to be ${wanted}, but it is`],
  )
}

/**
 * Wants every event of the boot to be the one that is predicted of the machine, where it can be known, and every PCR to be
 * what the event logs lead to, and what the host saw.
 */
export async function toMeasureAsPredicted(
  received: unknown,
  { withinMs = PATIENCE_MS }: Patience = {},
): Promise<Verdict> {
  const { machine, record } = subjectOf(received)
  await pcrsOf(machine)
  const running = record?.running
  const predicted = running === undefined ? undefined : await record?.parts.predict(running)
  const ask = async () => {
    const pcrs = await pcrsOf(machine)
    const [firmwareLog, userspaceLog] = await Promise.all([readFirmwareLog(machine), readUserspaceLog(machine)])
    return judgeMeasurements(predicted, {
      pcrs,
      hostPcrs: running === undefined ? undefined : hostPcrs(await running.observedBoot(), pcrs.keys()),
      log: firmwareLog === undefined ? undefined : parseEventLog(firmwareLog),
      userspaceLog: parseUserspaceLog(userspaceLog ?? new Uint8Array()),
    })
  }
  const { wrong, right } = await eventually(withinMs, ask, (now) => now.wrong.length === 0)
  const held = right.map((line) => `  ${line}`)
  return verdict(
    wrong.length === 0,
    [
      'Expected the machine to measure as predicted',
      ...wrong.map((line) => `  ${line}`),
      ...(held.length === 0 ? [] : ['What is as predicted:', ...held]),
    ],
    ['Expected the machine not to measure as predicted, but it does:', ...held],
  )
}

async function pcrsOf(machine: Subject): Promise<PcrBanks> {
  const banks = await readPcrs(machine)
  if (banks !== undefined) return parsePcrBanks(banks)
  const reason = machine.spec.tpm === 'absent' ? 'it was made without one' : 'its kernel shows none'
  throw new BootwrightError('INVALID_ARGUMENT', `Machine "${machine.name}" has no TPM to read PCRs from: ${reason}`)
}
