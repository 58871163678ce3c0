import { DEFAULT_SPEC, type GuestResult, type MachineSpec, type RunningMachine } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Check, CheckContext, CheckResult } from './check.ts'
import { GuestFacts } from './guest-facts.ts'

/** What a guest answers: a command line to its output (status 0) or to status, output and complaints. */
export type Answers = Readonly<Record<string, string | readonly [exitCode: number, stdout: string, stderr?: string]>>

export interface Guest {
  readonly commands?: Answers
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  readonly spec?: Partial<MachineSpec>
}

/** A machine that answers from a table. A file of the table exists, any other does not; other commands are not found. */
export function guestOf(guest: Guest): { machine: RunningMachine; asked: string[] } {
  const { commands = {}, files = {} } = guest
  const asked: string[] = []
  async function runUnchecked(argv: readonly string[]): Promise<GuestResult> {
    const line = argv.join(' ')
    asked.push(line)
    const path = argv.at(-1) ?? ''
    if (line === `test -e ${path}`) return result(path in files ? 0 : 1)
    if (line === `cat -- ${path}`) return path in files ? result(0, files[path]) : result(1, '', 'No such file')
    const answer = commands[line] ?? [127, '', `${argv[0]}: not found`]
    return typeof answer === 'string' ? result(0, answer) : result(...answer)
  }
  const machine = {
    name: 'm',
    spec: { ...DEFAULT_SPEC, ...guest.spec },
    runUnchecked,
    async run(argv: readonly string[]) {
      const { exitCode, stdout, stderr } = await runUnchecked(argv)
      if (exitCode !== 0) throw new BootwrightError('GUEST_COMMAND_FAILED', `${argv.join(' ')}: ${stderr}`)
      return { stdout: stdout.toString(), stderr: stderr.toString() }
    },
    async readFile(path: string) {
      const { exitCode, stdout } = await runUnchecked(['cat', '--', path])
      if (exitCode !== 0) throw new BootwrightError('GUEST_COMMAND_FAILED', `Cannot read ${path}`)
      return stdout
    },
  }
  return { machine: machine as unknown as RunningMachine, asked }
}

function result(exitCode: number, stdout: string | Uint8Array = '', stderr = ''): GuestResult {
  return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) }
}

/** Asks a check of such a guest. */
export function asking(check: Check, guest: Guest, context: Partial<CheckContext> = {}): Promise<CheckResult> {
  const { machine } = guestOf(guest)
  return check.run({
    machine,
    systemState: 'running',
    guest: new GuestFacts(machine, async () => {}),
    prediction: { pcr11: new Map(), sections: [], events: [] },
    cloud: undefined,
    ...context,
  })
}

export const TPM = '/sys/class/tpm/tpm0'
export const PCRS = `sh -c cd ${TPM} && grep . pcr-*/*`

/** What the kernel shows of PCRs: bank to values by index. */
export function pcrFiles(banks: Readonly<Record<string, Readonly<Record<number, string>>>>): string {
  return Object.entries(banks)
    .flatMap(([bank, values]) => Object.entries(values).map(([pcr, value]) => `pcr-${bank}/${pcr}:${value}\n`))
    .join('')
}
