import type { RunningMachine } from '../machine/index.ts'
import { quote } from '../system/index.ts'
import { KNOWN_FAILURES, type KnownFailure } from './known-failures.ts'

/** Where Debian's package systemd-tests has the scripts of the integration tests. */
const UNITS = '/usr/lib/systemd/tests/testdata/units'
/** What automake, and with it systemd, takes for "skipped". */
const SKIPPED = 77
const SHOWN_LINES = 20

type Guest = Pick<RunningMachine, 'run' | 'runUnchecked'>

export interface UpstreamResult {
  /** `unsupported`: it skipped all or a part, or fails for a reason that is known. Never a way to pass. */
  readonly status: 'passed' | 'failed' | 'unsupported'
  /** One fact a line. */
  readonly evidence: readonly string[]
  /** All that it printed; it traces its commands. */
  readonly log: string
}

export interface UpstreamTestOptions {
  readonly timeoutMs: number
  /** Where the scripts are, if not where Debian has them. */
  readonly directory?: string
  readonly knownFailures?: readonly KnownFailure[]
  /** For the script and what it starts. */
  readonly environment?: Readonly<Record<string, string>>
  /** Ends it, and with it the call. */
  readonly signal?: AbortSignal | undefined
}

/** Runs one of systemd's integration tests in a machine, as it is. Rejects when the guest does not answer any more. */
export async function runUpstreamTest(
  guest: Guest,
  name: string,
  { timeoutMs, directory = UNITS, knownFailures = KNOWN_FAILURES, environment = {}, signal }: UpstreamTestOptions,
): Promise<UpstreamResult> {
  // Its units are in a directory of the whole test; scripts find their helpers beside them.
  const units = `../${name.replace(/\..*$/, '')}.units`
  const exports = Object.entries(environment).map(([key, value]) => `export ${key}=${quote(value)}; `)
  const command =
    `${exports.join('')}cd ${directory} || exit; if [ -d ${units} ]; then mkdir -p /run/systemd/system && ` +
    `cp -r ${units}/. /run/systemd/system && systemctl daemon-reload || exit; fi; exec bash ./${name}.sh`
  const { exitCode, stdout, stderr } = await guest.runUnchecked(['sh', '-c', command], { timeoutMs, signal })
  const log = `${stdout.toString()}\n${stderr.toString()}`
  const skipped = skipLine(stdout.toString(), stderr.toString())
  if (exitCode === 0 && skipped === undefined) return { status: 'passed', evidence: [], log }
  if (exitCode === 0) return { status: 'unsupported', evidence: [`it skipped something: ${skipped}`], log }
  if (exitCode === SKIPPED) {
    const reason = skipped ?? lastLine(log) ?? 'it does not say why'
    return { status: 'unsupported', evidence: [`it skipped itself: ${reason}`], log }
  }
  const known = knownFailures.find(({ test }) => test === name)
  if (known !== undefined) {
    return { status: 'unsupported', evidence: [`known to fail: ${known.reason} (${known.link})`], log }
  }
  const end = log.trimEnd().split('\n').slice(-SHOWN_LINES)
  return { status: 'failed', evidence: [`it ended with status ${exitCode}`, ...end], log }
}

/**
 * What it says of a part that it leaves out. Its own words are on standard output; where it traces its commands, they are in
 * the trace as well, which tells them from what programs say there.
 */
function skipLine(output: string, trace: string): string | undefined {
  const said = trace.split('\n').filter((line) => /^\++ (?:echo|printf) /.test(line))
  const isTraced = /^\++ \S/m.test(trace)
  const lines = output.split('\n').filter((line) => /\bskipping\b/i.test(line))
  return lines.find((line) => !isTraced || said.some((words) => words.includes(line.trim())))
}

/** Names of the tests that the machine has, parts of them too. */
export async function upstreamTests(guest: Guest): Promise<string[]> {
  const { exitCode, stdout } = await guest.runUnchecked(['sh', '-c', `cd ${UNITS} && ls TEST-*.sh`])
  if (exitCode !== 0) return []
  return stdout
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((file) => file.replace(/\.sh$/, ''))
}

function lastLine(text: string): string | undefined {
  return text.trimEnd().split('\n').at(-1)
}
