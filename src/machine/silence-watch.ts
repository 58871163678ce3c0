/** How the guest's end of a channel is asked for a sign of life, and what happens when there is none. */
export interface SilenceHooks {
  /** Asks for a sign of life. */
  probe(): void
  /** What the guest has still to take: as long as it gets less, the guest reads. */
  unread(): number
  silent(): void
}

/** An emulated guest on a busy host may take its time, but not that much. */
const DEFAULT_SILENCE_MS = 120_000
/** Looks so many times in that time. */
const LOOKS = 20
/** After so much of it the guest is asked: one that works on something has nothing to say by itself. */
const PROBED_AFTER = 0.25

/**
 * Tells a guest that never answers from a command that takes long: while somebody waits, the guest's end of the channel has
 * to give signs of life.
 *
 * A guest that stands still because it was told to is not silent; nor is one whose host was asleep.
 */
export class SilenceWatch {
  readonly silenceMs: number
  readonly #hooks: SilenceHooks
  #timer: NodeJS.Timeout | undefined
  #quietMs = 0
  #lastLook = 0
  #lastUnread = 0
  #isProbed = false
  #isPaused = false

  constructor(hooks: SilenceHooks, silenceMs = DEFAULT_SILENCE_MS) {
    this.#hooks = hooks
    this.silenceMs = silenceMs
  }

  /** Somebody waits, or nobody does any more. */
  set isNeeded(isNeeded: boolean) {
    if (isNeeded === (this.#timer !== undefined)) return
    clearInterval(this.#timer)
    this.#timer = undefined
    if (!isNeeded) return
    this.heard()
    this.#lastLook = performance.now()
    // It keeps nothing alive: the machine itself does.
    this.#timer = setInterval(() => this.#look(), this.silenceMs / LOOKS).unref()
  }

  /** The machine's processors stand still, or run again. */
  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused
    this.heard()
  }

  /** The guest has said something. */
  heard(): void {
    this.#quietMs = 0
    this.#isProbed = false
  }

  #look(): void {
    const now = performance.now()
    // Of a long while in which nobody looked nothing is known.
    this.#quietMs += Math.min(now - this.#lastLook, (2 * this.silenceMs) / LOOKS)
    this.#lastLook = now
    const unread = this.#hooks.unread()
    if (this.#isPaused || unread < this.#lastUnread) this.heard()
    this.#lastUnread = unread
    if (this.#quietMs >= this.silenceMs) {
      this.heard()
      this.#hooks.silent()
    } else if (this.#quietMs >= this.silenceMs * PROBED_AFTER && !this.#isProbed) {
      this.#isProbed = true
      this.#hooks.probe()
    }
  }
}
