import { styleText } from 'node:util'

/** How often the live line is drawn anew. */
const REDRAW_MS = 100

/**
 * Tells on standard error what is going on: finished steps with their time, and on a terminal a last line that moves.
 * Without a terminal each step is a plain timed line.
 */
export class Progress implements Disposable {
  readonly #stream = process.stderr
  readonly #isLive = process.stderr.isTTY === true && process.env.CI === undefined
  readonly #started = performance.now()
  #step = ''
  #stepStarted = this.#started
  #line = ''
  #timer: NodeJS.Timeout | undefined

  /** A step begins, or says something. */
  readonly update = (step: string, line = ''): void => {
    if (step !== this.#step) {
      this.finish()
      this.#step = step
      this.#stepStarted = performance.now()
      if (this.#isLive) this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref()
      else this.#stream.write(`${this.#time(this.#started)} ${step} ...\n`)
    }
    this.#line = line
  }

  /** The current step is over. */
  finish(): void {
    if (this.#step === '') return
    clearInterval(this.#timer)
    const took = `${((performance.now() - this.#stepStarted) / 1000).toFixed(1)} s`
    if (this.#isLive)
      this.#stream.write(`\r\x1b[2K${styleText('green', '✓')} ${this.#step} ${styleText('dim', took)}\n`)
    else this.#stream.write(`${this.#time(this.#started)} ${this.#step}: done in ${took}\n`)
    this.#step = ''
    this.#line = ''
  }

  /** Clears the live line: something else is to be printed. The step did not end well. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    if (this.#isLive && this.#step !== '') this.#stream.write('\r\x1b[2K')
    this.#step = ''
  }

  #draw(): void {
    const head = `${this.#time(this.#stepStarted)} ${this.#step}`
    const room = Math.max(0, (this.#stream.columns ?? 80) - head.length - 4)
    const line = this.#line.replaceAll(/\p{Cc}/gu, ' ').slice(0, room)
    this.#stream.write(`\r\x1b[2K${styleText('bold', head)}  ${styleText('dim', line)}`)
  }

  #time(since: number): string {
    const tenths = Math.floor((performance.now() - since) / 100)
    return `${String(Math.floor(tenths / 600)).padStart(2)}:${((tenths % 600) / 10).toFixed(1).padStart(4, '0')}`
  }
}
