import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../../system/index.ts'
import { downloadError, isDownloadFailure } from './download-error.ts'
import { type Answer, request } from './http-request.ts'
import { openLocalFile } from './local-file.ts'
import { STALL_LIMIT, type StallLimit } from './stall-watch.ts'

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  /** More bytes than these end it. */
  readonly maxBytes: number
  readonly stall?: StallLimit
  /** How often it is tried again without gaining anything to speak of; 4 without. */
  readonly retries?: number
  /** How long to wait before the n-th try again, from 1: doubled each time from half a second without. */
  readonly backOffMs?: (attempt: number) => number
  readonly mayLeaveHost?: boolean | undefined
  /** Called when a transfer goes on after a failure. */
  readonly onRetry?: (failure: BootwrightError, fromByte: number) => void
}

export interface Download {
  /** In bytes, where the server said it. */
  readonly size: number | undefined
  readonly etag: string | undefined
  readonly lastModified: Date | undefined
  /**
   * All bytes, once; a transfer that breaks goes on where it was. A piece is good until the next but one is asked for. Rejects with
   * `DOWNLOAD_FAILED`.
   */
  readonly body: AsyncIterable<Buffer>
  /** Ends it, if the body has not been read. */
  close(): Promise<void>
}

const RETRIES = 4
/** An attempt that gains less than this has gained nothing: a server must not keep us for ever with a byte a minute. */
const LEAST_GAIN_BYTES = 64 * 1024
const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504])

/**
 * Begins to download an address: `http://`, `https://` or `file:/`.
 *
 * What may be better the next time (no connection, a stall, a body that ends early, 5xx) is tried again with a growing
 * pause, from the byte where it broke. Whether the parts belong together says the hash of the whole, which the caller
 * knows. Rejects with `DOWNLOAD_FAILED`, whose `detail.reason` is a {@link DownloadFailure}.
 */
export async function openDownload(url: string, options: DownloadOptions): Promise<Download> {
  if (url.startsWith('file:')) return openLocalFile(url, options)
  return new HttpDownload(url, options).open()
}

class HttpDownload {
  readonly #url: string
  readonly #options: DownloadOptions
  #received = 0
  #failuresInARow = 0
  #receivedAtFailure = 0
  #size: number | undefined
  #validator: string | undefined

  constructor(url: string, options: DownloadOptions) {
    this.#url = url
    this.#options = options
  }

  async open(): Promise<Download> {
    const first = await this.#retrying(() => this.#ask())
    const { etag, 'last-modified': lastModified } = first.headers
    this.#size = contentLength(first)
    this.#checkLimit(this.#size ?? 0)
    this.#validator = etag !== undefined && !etag.startsWith('W/') ? etag : lastModified
    const modified = lastModified === undefined ? undefined : new Date(lastModified)
    return {
      size: this.#size,
      etag,
      lastModified: modified === undefined || Number.isNaN(modified.getTime()) ? undefined : modified,
      body: this.#body(first),
      close: async () => first.close(),
    }
  }

  async *#body(first: Answer): AsyncGenerator<Buffer, void, void> {
    let answer = first
    for (;;) {
      try {
        yield* this.#rest(answer)
        return
      } catch (error) {
        await this.#pauseOrThrow(error)
      }
      answer = await this.#retrying(() => this.#ask())
    }
  }

  /** What this answer has of the bytes that are missing. */
  async *#rest(answer: Answer): AsyncGenerator<Buffer, void, void> {
    // A server that ignores ranges, or has another file by now, begins again: what is known is passed over.
    let toSkip = answer.status === 206 ? 0 : this.#received
    for await (const chunk of answer.body()) {
      const skipped = Math.min(toSkip, chunk.byteLength)
      toSkip -= skipped
      const fresh = chunk.subarray(skipped)
      if (fresh.byteLength === 0) continue
      this.#received += fresh.byteLength
      this.#checkLimit(this.#received)
      yield fresh
    }
    if (toSkip > 0 || (this.#size !== undefined && this.#received < this.#size)) {
      throw downloadError('truncated', this.#url, `it ended after ${this.#received} of ${this.#size ?? 'more'} bytes`)
    }
  }

  async #ask(): Promise<Answer> {
    const from = this.#received
    const answer = await request(this.#url, {
      signal: this.#options.signal,
      stall: this.#options.stall ?? STALL_LIMIT,
      mayLeaveHost: this.#options.mayLeaveHost,
      headers:
        from === 0
          ? {}
          : {
              range: `bytes=${from}-`,
              ...(this.#validator === undefined ? {} : { 'if-range': this.#validator }),
            },
    })
    if (answer.status === 200) return answer
    if (answer.status === 206 && from > 0 && continues(answer, from, this.#size)) return answer
    answer.close()
    const { status } = answer
    if (status === 404 || status === 410) throw downloadError('not-found', this.#url, `there is none (${status})`)
    const reason = status === 401 || status === 407 ? 'unauthorized' : 'status'
    throw downloadError(reason, this.#url, `the server answered ${status}`, { status })
  }

  async #retrying<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        await this.#pauseOrThrow(error)
      }
    }
  }

  async #pauseOrThrow(error: unknown): Promise<void> {
    if (!isTransient(error)) throw error
    if (this.#received - this.#receivedAtFailure >= LEAST_GAIN_BYTES) this.#failuresInARow = 0
    this.#receivedAtFailure = this.#received
    this.#failuresInARow++
    if (this.#failuresInARow > (this.#options.retries ?? RETRIES)) throw error
    this.#options.onRetry?.(error, this.#received)
    const backOffMs = this.#options.backOffMs ?? ((n: number) => 250 * 2 ** n)
    await sleep(backOffMs(this.#failuresInARow), undefined, this.#signalOption()).catch(() =>
      this.#options.signal?.throwIfAborted(),
    )
  }

  #signalOption(): { signal?: AbortSignal } {
    return this.#options.signal === undefined ? {} : { signal: this.#options.signal }
  }

  #checkLimit(bytes: number): void {
    const most = Math.min(this.#options.maxBytes, this.#size ?? Number.POSITIVE_INFINITY)
    if (bytes <= most) return
    throw downloadError('too-large', this.#url, `expected at most ${most} bytes, found ${bytes} or more`)
  }
}

function isTransient(error: unknown): error is BootwrightError {
  if (!(error instanceof BootwrightError) || error.code !== 'DOWNLOAD_FAILED') return false
  if (isDownloadFailure(error, 'status')) return TRANSIENT_STATUS.has(Number(error.detail.status))
  return (
    isDownloadFailure(error, 'broken') || isDownloadFailure(error, 'truncated') || isDownloadFailure(error, 'stalled')
  )
}

function contentLength(answer: Answer): number | undefined {
  const text = answer.headers['content-length']
  return text === undefined ? undefined : Number(text)
}

/** Whether a partial answer (RFC 9110, 14.4) begins where it should, and is of the file that we know. */
function continues(answer: Answer, from: number, size: number | undefined): boolean {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers['content-range'] ?? '')
  if (match === null || Number(match[1]) !== from) return false
  return size === undefined || match[2] === '*' || Number(match[2]) === size
}
