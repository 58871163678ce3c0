import type { RunningMachine } from '../machine/index.ts'
import type { PredictedRefusal } from '../measure/index.ts'
import type { CheckReport } from '../report/index.ts'
import { BootwrightError } from '../system/index.ts'

/** The machine's own claim: without it nothing else can be asked. */
const BOOT = { id: 'boot', title: 'The machine boots' } as const

/** What is known of a boot; `systemState` of one that has come to its end. */
export interface BootOutcome {
  readonly report: CheckReport
  readonly systemState: string | undefined
}

/**
 * Waits for the boot. It fails when the machine cannot get there, and also when it gets there though its firmware should
 * have refused the image: whatever let it pass is not what was predicted.
 */
export async function bootCheck(
  running: Pick<RunningMachine, 'booted' | 'console'>,
  refusal: PredictedRefusal | undefined,
  options: { readonly signal?: AbortSignal | undefined; readonly idleMs?: number },
  progress: (step: string, line: string) => void,
): Promise<BootOutcome> {
  const begun = performance.now()
  const stopLines = running.console.onLine((line) => progress('boot', line))
  const facts = () => ({ ...BOOT, durationMs: Math.round(performance.now() - begun) })
  try {
    const systemState = await running.booted({
      signal: options.signal,
      ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
    })
    const evidence = [`${((performance.now() - begun) / 1000).toFixed(1)} s to "${systemState}"`]
    if (refusal === undefined) return { report: { ...facts(), status: 'passed', evidence }, systemState }
    const report = { status: 'failed', expected: sentence(refusal), found: 'it booted', evidence } as const
    return { report: { ...facts(), ...report, hint: 'Secure Boot did not do what its variables say.' }, systemState }
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.family !== 'guest') throw error
    const failure = failureOf(error)
    const evidence = refusal === undefined ? [] : [`It was predicted: ${sentence(refusal)}`]
    return { report: { ...facts(), ...failure, evidence: [...failure.evidence, ...evidence] }, systemState: undefined }
  } finally {
    stopLines()
  }
}

function sentence({ by, image, because, why }: PredictedRefusal): string {
  return `the ${by} refuses ${image} because of ${because}: ${why}`
}

/** What a report has of an error that ended a check. */
export function failureOf(error: BootwrightError): Pick<CheckReport, 'status' | 'evidence' | 'code' | 'hint'> {
  return {
    status: 'failed',
    evidence: error.message.split('\n'),
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}
