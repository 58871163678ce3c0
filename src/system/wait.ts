import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError, type ErrorCode } from './error.ts'

/** What a probe saw: the thing waited for, or the reason why it is not there yet. */
export type Probe<T> = { readonly done: T } | { readonly pending: string }

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** Give up when the pending reason has not changed for so long. An emulated guest is slow, not stuck. */
  readonly idleMs: number
  readonly everyMs?: number
  readonly code?: ErrorCode
}

/** Probes until something is there. Progress decides, and the last reason is the error. */
export async function waitUntil<T>(what: string, probe: () => Promise<Probe<T>>, options: WaitOptions): Promise<T> {
  let last = ''
  let lastChange = performance.now()
  for (;;) {
    options.signal?.throwIfAborted()
    const state = await probe()
    if ('done' in state) return state.done
    if (state.pending !== last) {
      last = state.pending
      lastChange = performance.now()
    } else if (performance.now() - lastChange > options.idleMs) {
      throw new BootwrightError(options.code ?? 'TIMED_OUT', `Waited for ${what}, but ${last}`, {
        detail: { idleMs: options.idleMs },
      })
    }
    await sleep(options.everyMs ?? 100, undefined, { signal: options.signal })
  }
}
