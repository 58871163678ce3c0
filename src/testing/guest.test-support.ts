import type { GuestResult } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Subject } from './matchers/subject.ts'

/** What a command leaves: its output, or status, output and complaint. */
export type Answer = string | Uint8Array | readonly [status: number, stdout: string, stderr?: string]

/** A guest that answers the commands given, and boots as it is told. */
export function scriptedGuest(
  commands: Readonly<Record<string, Answer>>,
  facts: {
    boots?: string | BootwrightError
    console?: readonly string[]
    spec?: object
    failure?: BootwrightError
  } = {},
): Subject {
  return {
    name: 'scripted',
    failure: facts.failure,
    console: { lastLines: async () => [...(facts.console ?? [])], byteCount: 0, partialLine: '' },
    spec: { channel: true, tpm: { banks: ['sha256'] }, ...facts.spec } as Subject['spec'],
    async booted() {
      const { boots = 'running' } = facts
      if (boots instanceof BootwrightError) throw boots
      return boots
    },
    async runUnchecked(argv): Promise<GuestResult> {
      const key = argv.join(' ')
      const answer = Object.hasOwn(commands, key) ? commands[key] : undefined
      const [exitCode, stdout, stderr] =
        answer === undefined
          ? [127, '', `${key}: not scripted`]
          : typeof answer === 'string' || answer instanceof Uint8Array
            ? [0, answer, '']
            : answer
      return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr ?? '') }
    },
  }
}
