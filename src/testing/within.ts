import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../system/index.ts'

/** The answer of a guest that may hang: rejects with `GUEST_SILENT` then. */
export async function within<T>(ms: number, what: string, answer: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).then(() => {
    throw new BootwrightError('GUEST_SILENT', `The guest did not answer ${what} within ${ms / 1000} s`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([answer, late])
  } finally {
    over.abort()
  }
}

/**
 * Asks again until the answer is right or the time is over, and gives the last one: it says what was found.
 * A guest that cannot answer is an error, not a wrong answer.
 */
export async function eventually<T>(ms: number, ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  const until = performance.now() + ms
  for (;;) {
    const answer = await ask()
    if (isRight(answer) || performance.now() >= until) return answer
    await sleep(Math.min(250, ms))
  }
}
