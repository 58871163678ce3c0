import { setTimeout as sleep } from 'node:timers/promises'
import { NAMED_REASONS, type NamedReason, type Refusal, type Refuser, refusalOf } from '../../machine/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { type Subject, subjectOf, type Verdict, verdict } from './subject.ts'

/** Why: a reason that is known by name, or what the console says. */
type RefusalReason = NamedReason | (string & {}) | RegExp

/** What is expected of a refusal. */
interface ExpectedRefusal {
  readonly by?: Refuser
  readonly because?: RefusalReason
}

const CONSOLE_LINES = 200
const IDLE_MS = 90_000
const EVERY_MS = 200

/** Waits until the machine has refused to boot, or has booted. Seconds, not a time-out: the console proves it. */
export async function toRefuseBoot(
  received: unknown,
  { by, because }: ExpectedRefusal = {},
  { idleMs = IDLE_MS }: { readonly idleMs?: number } = {},
): Promise<Verdict> {
  const { machine, record } = subjectOf(received)
  const wanted = [
    by === undefined ? 'somebody' : `the ${by}`,
    ...(because === undefined ? [] : [`because of ${because}`]),
  ]
  const expected = `Expected the boot to be refused by ${wanted.join(' ')}`
  const end = await endOfBoot(machine, idleMs)
  if (typeof end === 'string') return verdict(false, [`${expected}, but the system booted: it is ${end}`], [])
  const console = await machine.console.lastLines(CONSOLE_LINES)
  const refusal = refusalOf(end, console)
  const refuser = refusal?.by
  const isBy = by === undefined ? refuser !== undefined : by === refuser
  const isBecause = because === undefined || says(because, refusal, [end.message, ...console].join('\n'))
  if (isBy && isBecause)
    record?.expectSymptom({ match: 'Kernel panic - not syncing', because: 'toRefuseBoot() asked for it' })
  return verdict(
    isBy && isBecause,
    [
      expected,
      `  ${isBy ? 'it was refused by' : 'found instead'}  ${refuser === undefined ? end.code : `the ${refuser}`}: ${end.message.split('\n', 1)[0]}`,
      ...(isBecause ? [] : [`  and nothing on the console speaks of ${because}`]),
    ],
    [`Expected the boot not to be refused by ${wanted.join(' ')}, but it was: ${end.message.split('\n', 1)[0]}`],
  )
}

/** The error that ended the boot, or the state of the system that came up. */
async function endOfBoot(machine: Subject, idleMs: number): Promise<BootwrightError | string> {
  try {
    if (machine.spec.channel) return await machine.booted({ idleMs })
    return await watchConsole(machine, idleMs)
  } catch (error) {
    if (error instanceof BootwrightError && error.family === 'guest') return error
    throw error
  }
}

/** Without a channel only the console can tell. */
async function watchConsole(machine: Subject, idleMs: number): Promise<string> {
  let seen = -1
  let since = performance.now()
  for (;;) {
    if (machine.failure !== undefined) throw machine.failure
    if (/\blogin: *$/.test(machine.console.partialLine)) return 'at its login prompt'
    const now = machine.console.byteCount
    if (now !== seen) [seen, since] = [now, performance.now()]
    else if (performance.now() - since > idleMs) {
      throw new BootwrightError('BOOT_STALLED', `Its console has said nothing more for ${Math.round(idleMs / 1000)} s`)
    }
    await sleep(EVERY_MS)
  }
}

function says(because: RefusalReason, refusal: Refusal | undefined, text: string): boolean {
  if (because instanceof RegExp) return new RegExp(because).test(text)
  const named = NAMED_REASONS.find((name) => name === because)
  return named === undefined ? text.includes(because) : refusal?.because.includes(named) === true
}
