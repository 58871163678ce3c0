/** How slow is too slow. */
export interface StallLimit {
  readonly bytesPerSecond: number
  readonly windowMs: number
}

/** What libcurl's low-speed limit is set to by the original. */
export const STALL_LIMIT: StallLimit = { bytesPerSecond: 30, windowMs: 60_000 }

/**
 * Ends what gives fewer bytes than it should in a window of time. Only waiting for the other side counts: the time in
 * which we ourselves write to a slow disk does not.
 */
export class StallWatch {
  readonly #limit: StallLimit
  readonly #onStall: () => void
  #timer: NodeJS.Timeout | undefined
  #waitingSince = 0
  #waitedMs = 0
  #bytes = 0

  constructor(limit: StallLimit, onStall: () => void) {
    this.#limit = limit
    this.#onStall = onStall
  }

  /** From now on the other side is to give something. */
  wait(): void {
    this.#waitingSince = performance.now()
    this.#timer = setTimeout(() => this.#judge(), Math.max(0, this.#limit.windowMs - this.#waitedMs))
  }

  /** It gave this much. */
  got(bytes: number): void {
    clearTimeout(this.#timer)
    this.#waitedMs += performance.now() - this.#waitingSince
    this.#bytes += bytes
    if (this.#bytes >= this.#enough) this.#restart()
  }

  get #enough(): number {
    return Math.max(1, (this.#limit.bytesPerSecond * this.#limit.windowMs) / 1000)
  }

  #restart(): void {
    this.#bytes = 0
    this.#waitedMs = 0
  }

  #judge(): void {
    if (this.#bytes < this.#enough) {
      this.#onStall()
      return
    }
    this.#restart()
    this.wait()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
