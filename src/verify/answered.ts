import { BootwrightError } from '../system/index.ts'

/** What a guest is asked here takes it seconds, also when it is emulated. */
export const SILENT_MS = 120_000

/** The answer of a guest, which may hang: rejects with `GUEST_SILENT` then, and with the reason of the signal. */
export async function answered<T>(
  what: string,
  answer: Promise<T>,
  options: { readonly signal?: AbortSignal | undefined; readonly idleMs?: number },
): Promise<T> {
  const { signal, idleMs = SILENT_MS } = options
  const over = Promise.withResolvers<never>()
  const abort = () => over.reject(signal?.reason)
  const timer = setTimeout(() => {
    over.reject(new BootwrightError('GUEST_SILENT', `The guest did not answer ${what} within ${idleMs / 1000} s`))
  }, idleMs)
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted === true) abort()
  try {
    return await Promise.race([answer, over.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
