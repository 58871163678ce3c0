import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../../system/index.ts'
import { type Subject, subjectOf, type Verdict, verdict } from './subject.ts'

/** Who can refuse to go on with a boot. */
export type Refuser = 'firmware' | 'boot-loader' | 'kernel' | 'service-manager' | 'emergency-mode'
/** Why: a reason that is known by name, or what the console says. */
export type RefusalReason = keyof typeof REASONS | (string & {}) | RegExp

export interface Refusal {
  readonly by?: Refuser
  readonly because?: RefusalReason
}

/** What the console says of reasons that have a name. */
const REASONS = {
  /** No boot option led to anything that could be started. */
  'no-loader': /No bootable option|BdsDxe: failed to load .*: Not Found/,
  /** The firmware or the loader trusts no signature of it. */
  'secure-boot': /Access Denied|Security Violation|Secure Boot violation/i,
  /** dm-verity found other data than its hash tree speaks of, or no root hash that fits. */
  verity: /verity|device-mapper: reload ioctl/i,
  /** What should be the root file system is not there. */
  'no-root': /Unable to mount root fs|Cannot open root device|Timed out waiting for device|systemd-gpt-auto-root/,
} as const

const CONSOLE_LINES = 200
const IDLE_MS = 90_000
const EVERY_MS = 200

/** Waits until the machine has refused to boot, or has booted. Seconds, not a time-out: the console proves it. */
export async function toRefuseBoot(
  received: unknown,
  { by, because }: Refusal = {},
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
  const refuser = refuserOf(end)
  const console = (await machine.console.lastLines(CONSOLE_LINES)).join('\n')
  const isBy = by === undefined ? refuser !== undefined : by === refuser
  const isBecause = because === undefined || says(because, `${end.message}\n${console}`)
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

function refuserOf({ code, message }: BootwrightError): Refuser | undefined {
  if (code === 'BOOT_REFUSED') return message.startsWith('The boot loader') ? 'boot-loader' : 'firmware'
  if (code === 'GUEST_PANIC') return message.startsWith('Process 1') ? 'service-manager' : 'kernel'
  return code === 'GUEST_EMERGENCY' ? 'emergency-mode' : undefined
}

function says(because: RefusalReason, text: string): boolean {
  if (because instanceof RegExp) return new RegExp(because).test(text)
  return because in REASONS ? REASONS[because as keyof typeof REASONS].test(text) : text.includes(because)
}
