import { Command, InvalidArgumentError } from 'commander'
import {
  type BootLogs,
  PCR_COUNT,
  type PcrBanks,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  type TcgEventLog,
  type UserspaceLog,
} from '../measure/index.ts'
import { eventLogHolds, eventLogJson, eventLogReport, eventLogText } from '../report/index.ts'
import { BootwrightError } from '../system/index.ts'
import { readInput } from './input-file.ts'
import { printError } from './print-error.ts'

interface EventlogOptions {
  readonly userspace?: string
  readonly pcrs?: string
  readonly diff?: string
  readonly diffUserspace?: string
  readonly pcr?: readonly number[]
  readonly json: boolean
}

const USERSPACE_RECORD = 0x1e

export function eventlogCommand(): Command {
  return new Command('eventlog')
    .summary('list TPM event logs, verify them against PCR values, compare them')
    .argument('[file]', "a firmware's event log, such as binary_bios_measurements")
    .option('--userspace <file>', "systemd's log of the same boot, tpm2-measure.log")
    .option('--pcrs <file>', 'verify against PCR values: JSON, {bank: {index: hex}}')
    .option('--diff <file>', 'compare with the log of another boot')
    .option('--diff-userspace <file>', "systemd's log of that boot")
    .option('--pcr <index>', 'only this PCR (may be given again)', addPcr)
    .option('--json', 'print machine-readable output', false)
    .action(async (file: string | undefined, options: EventlogOptions, command: Command) => {
      try {
        await eventlog(file, options)
      } catch (error) {
        // Elsewhere an input that is none is the caller's mistake, exit status 2. Here the file is what is judged: that it
        // is no log is the answer, as that its values do not fit is.
        if (!(error instanceof BadLogError)) throw error
        printError(error, { withStack: command.optsWithGlobals<{ debug?: boolean }>().debug === true })
        process.exitCode = 1
      }
    })
}

/** A file that was to be a log, and is none. */
class BadLogError extends BootwrightError {
  override readonly name = 'BadLogError'
}

async function eventlog(file: string | undefined, options: EventlogOptions): Promise<void> {
  const { userspace, pcrs, diff, diffUserspace, pcr } = options
  checkOptions(file, options)
  const log = file === undefined ? undefined : await firmwareLog(file)
  const userspaceLog = userspace === undefined ? undefined : await systemdLog(userspace)
  const actual = pcrs === undefined ? undefined : await pcrValues(pcrs)
  const report = eventLogReport({
    ...(log === undefined ? {} : { log }),
    ...(userspaceLog === undefined ? {} : { userspaceLog }),
    ...(actual === undefined ? {} : { actual }),
    ...(diff === undefined ? {} : { other: await bootLogs(diff, diffUserspace) }),
    ...(pcr === undefined ? {} : { only: new Set(pcr) }),
  })
  if (!eventLogHolds(report)) process.exitCode = 1
  print(
    options.json
      ? `${JSON.stringify(eventLogJson(report))}\n`
      : eventLogText(report, { isColored: process.stdout.hasColors?.() === true }),
  )
}

function checkOptions(file: string | undefined, { userspace, pcrs, diff, diffUserspace }: EventlogOptions): void {
  const fail = (message: string, hint: string): never => {
    throw new BootwrightError('INVALID_ARGUMENT', message, { hint })
  }
  if (file === undefined && userspace === undefined) {
    fail('There is no event log to read', "Name one, or give systemd's with --userspace.")
  }
  if (file === undefined && (pcrs !== undefined || diff !== undefined)) {
    fail(
      `${pcrs === undefined ? '--diff' : '--pcrs'} needs the firmware's event log`,
      "systemd's log goes on where the firmware's ends, so that alone it leads to no values: name the firmware's, too.",
    )
  }
  if (diffUserspace !== undefined && diff === undefined) {
    fail('--diff-userspace needs --diff', "Name the firmware's event log of that boot, too.")
  }
  if (diff !== undefined && (userspace === undefined) !== (diffUserspace === undefined)) {
    fail(
      "Expected systemd's log of both boots or of none, found one",
      'Give --userspace and --diff-userspace, or neither.',
    )
  }
}

async function bootLogs(file: string, userspace: string | undefined): Promise<BootLogs> {
  const log = await firmwareLog(file)
  return userspace === undefined ? { log } : { log, userspaceLog: await systemdLog(userspace) }
}

async function firmwareLog(file: string): Promise<TcgEventLog> {
  const { bytes } = await readLog(file)
  const hint =
    bytes[0] === USERSPACE_RECORD
      ? "It looks like systemd's log: give it with --userspace."
      : "Take it again from where it was made; the kernel has this boot's as binary_bios_measurements."
  return judged(file, () => parseEventLog(bytes), hint)
}

async function systemdLog(file: string): Promise<UserspaceLog> {
  const { bytes, mode } = await readLog(file)
  return judged(file, () => parseUserspaceLog(bytes, { fileMode: mode }), 'Take it again from where it was made.')
}

function judged<T>(file: string, parse: () => T, hint: string): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'MALFORMED_INPUT') throw error
    throw new BadLogError('MALFORMED_INPUT', `${file} is no event log. ${error.message}`, {
      cause: error,
      hint,
      detail: error.detail,
    })
  }
}

async function pcrValues(file: string): Promise<PcrBanks> {
  const { bytes } = await readInput(file)
  let json: unknown
  try {
    json = JSON.parse(bytes.toString())
  } catch (cause) {
    throw new BootwrightError('MALFORMED_INPUT', `${file} is not JSON: ${(cause as Error).message}`, {
      cause,
      hint: 'Write PCR values as {"sha256": {"0": "…", "1": "…"}}.',
    })
  }
  if (isBanks(json)) return parsePcrBanks(json)
  throw new BootwrightError('MALFORMED_INPUT', `${file} should have PCR values as text, by bank and index`, {
    hint: 'Write PCR values as {"sha256": {"0": "…", "1": "…"}}.',
  })
}

function isBanks(json: unknown): json is Record<string, Record<number, string>> {
  const isObject = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  return (
    isObject(json) &&
    Object.values(json).every(
      (values) => isObject(values) && Object.values(values).every((value) => typeof value === 'string'),
    )
  )
}

async function readLog(file: string): Promise<{ bytes: Buffer; mode: number }> {
  try {
    return await readInput(file)
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'MALFORMED_INPUT') throw error
    throw new BadLogError(error.code, error.message, { cause: error })
  }
}

function addPcr(text: string, before: readonly number[] = []): number[] {
  if (/^\d{1,2}$/.test(text) && Number(text) < PCR_COUNT) return [...before, Number(text)]
  throw new InvalidArgumentError(`Expected a PCR from 0 to ${PCR_COUNT - 1}.`)
}

/** Whoever reads may stop, as `head` does: that is no fault. */
function print(text: string): void {
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  process.stdout.write(text)
}
