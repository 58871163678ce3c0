import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from '../system/index.ts'
import type { RunningMachine } from './running-machine.ts'

/** An emulated guest is slow, not stuck: OVMF alone hashes a large UKI for 16 s without a word. */
const DEFAULT_IDLE_MS = 90_000
const EVERY_MS = 1_000

/**
 * Watches a machine during a wait: as long as its console or its disk moves, it is getting somewhere.
 *
 * systemd's "a start job is running" animation moves the console for ever while nothing happens, so only whole lines count.
 */
export class BootWatch implements AsyncDisposable {
  /** Rejects with `BOOT_STALLED` when nothing has moved for too long; never resolves. */
  readonly stalled: Promise<never>
  /** Ends the wait: the caller's own signal, or leaving the scope. */
  readonly signal: AbortSignal
  readonly #machine: RunningMachine
  readonly #idleMs: number
  readonly #ending = new AbortController()
  readonly #stopLines: () => void
  #lines = 0
  #seen = ''
  #hasChannel = false

  constructor(machine: RunningMachine, options: { signal?: AbortSignal | undefined; idleMs?: number }) {
    this.#machine = machine
    this.#idleMs = options.idleMs ?? DEFAULT_IDLE_MS
    this.signal = AbortSignal.any([this.#ending.signal, ...(options.signal === undefined ? [] : [options.signal])])
    this.#stopLines = machine.console.onLine(() => this.#lines++)
    this.stalled = this.#watch()
    this.stalled.catch(() => undefined)
  }

  /** From now on the guest itself can be asked what it waits for. */
  guestAnswers(): void {
    this.#hasChannel = true
  }

  /** Something that counts as progress when it differs from the last time. */
  saw(what: string): void {
    this.#seen = what
  }

  pause(ms: number): Promise<void> {
    return this.#sleep(ms)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopLines()
    this.#ending.abort(new BootwrightError('BUG', 'The wait is over'))
  }

  async #watch(): Promise<never> {
    let last = ''
    let lastChange = performance.now()
    for (;;) {
      await this.#sleep(EVERY_MS)
      const now = `${this.#lines} ${this.#seen} ${await this.#diskOperations()}`
      if (now !== last) {
        last = now
        lastChange = performance.now()
      } else if (performance.now() - lastChange > this.#idleMs) {
        throw await this.#stallError()
      }
    }
  }

  /** Rejects with the reason of the signal, which says more than that something was aborted. */
  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal }).catch(() => this.signal.throwIfAborted())
  }

  async #diskOperations(): Promise<number> {
    const disks = await this.#machine.qmp.execute('query-blockstats').catch(() => [])
    return disks.reduce((sum, { stats }) => sum + stats.rd_operations + stats.wr_operations, 0)
  }

  async #stallError(): Promise<BootwrightError> {
    const jobs = this.#hasChannel ? await this.#pendingJobs() : ''
    const reason = jobs === '' ? 'its console and its disk have not moved' : `these jobs wait:\n${jobs}`
    return this.#machine.explain(
      new BootwrightError(
        'BOOT_STALLED',
        `Machine "${this.#machine.name}" did not get any further for ${Math.round(this.#idleMs / 1000)} s: ${reason}`,
        { detail: { idleMs: this.#idleMs } },
      ),
    )
  }

  async #pendingJobs(): Promise<string> {
    const asked = this.#machine
      .runUnchecked(['systemctl', 'list-jobs', '--no-legend', '--no-pager'])
      .catch(() => undefined)
    const answer = await Promise.race([asked, sleep(10_000, undefined, { ref: false })])
    return answer?.stdout.toString().trim() ?? ''
  }
}
