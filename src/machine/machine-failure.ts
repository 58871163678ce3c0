import { BootwrightError, type NamespacedProcess } from '../system/index.ts'
import type { ConsoleLog } from './console.ts'
import { failureOn, tellingLines } from './console-signs.ts'
import { refusalOf } from './refusal.ts'

/** How many may tell why a boot was refused: firmware tries everything else before it gives up. */
const REFUSAL_LINES = 200
/** A failure is rarely one line: what follows it on the console belongs to the story. */
const STORY_MS = 500
/** A boot with everything in its log says a few MiB; the log on the host's disk must have an end. */
const FLOOD_BYTES = 64 * 1024 * 1024

/** Watches a machine for what ends it against the will of its user: signs on its console, a flood of it, and the end of QEMU. */
export class MachineFailure {
  /** Rejects with the failure; never resolves. */
  readonly promise: Promise<never>
  readonly #machine: { readonly name: string; readonly directory: string; readonly console: ConsoleLog }
  readonly #onFailure: (failure: BootwrightError) => void
  readonly #reject: (failure: BootwrightError) => void
  #error: BootwrightError | undefined
  #isEndExpected = false

  constructor(
    machine: { readonly name: string; readonly directory: string; readonly console: ConsoleLog },
    qemu: NamespacedProcess,
    onFailure: (failure: BootwrightError) => void,
  ) {
    this.#machine = machine
    this.#onFailure = onFailure
    const { promise, reject } = Promise.withResolvers<never>()
    this.promise = promise
    this.#reject = reject
    // Nobody has to wait for it.
    promise.catch(() => undefined)
    machine.console.onLine((line) => {
      const failure = failureOn(machine.name, line)
      if (failure !== undefined) void this.#fail(failure, STORY_MS)
    })
    const stopCounting = machine.console.onBytes(() => {
      if (machine.console.unaskedByteCount <= FLOOD_BYTES) return
      stopCounting()
      void this.#fail(flood(machine.name), 0)
    })
    void qemu.ended.then(({ exitCode, signal }) => {
      if (!this.#isEndExpected) void this.#fail(this.#ended(exitCode, signal), 0)
    })
  }

  /** The failure seen up to now. */
  get error(): BootwrightError | undefined {
    return this.#error
  }

  /** From now on QEMU may end. */
  expectEnd(): void {
    this.#isEndExpected = true
  }

  /** An error of the machine, with the last lines of its console. */
  async explain(error: BootwrightError): Promise<BootwrightError> {
    const allLines = await this.#machine.console.lastLines(REFUSAL_LINES)
    const refusal = refusalOf(error, allLines)
    const lines = tellingLines(allLines)
    const story = lines.length === 0 ? 'Its console is empty.' : `The end of its console:\n  ${lines.join('\n  ')}`
    return new BootwrightError(error.code, `${error.message}\n${story}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      detail: {
        ...error.detail,
        directory: this.#machine.directory,
        ...(refusal === undefined ? {} : { refusedBy: refusal.by, refusedBecause: refusal.because.join(' ') }),
      },
      cause: error.cause,
    })
  }

  #ended(exitCode: number | null, signal: string | null): BootwrightError {
    const { name, directory } = this.#machine
    if (exitCode === 0) return new BootwrightError('GUEST_GONE', `Machine "${name}" switched itself off`)
    return new BootwrightError(
      'HELPER_EXITED',
      `QEMU of machine "${name}" ended with ${signal ?? `status ${exitCode}`}`,
      {
        hint: `Its own words are in ${directory}/qemu.log.`,
      },
    )
  }

  async #fail(failure: BootwrightError, afterMs: number): Promise<void> {
    if (this.#error !== undefined) return
    this.#error = failure
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    this.#error = await this.explain(failure)
    this.#onFailure(this.#error)
    this.#reject(this.#error)
  }
}

function flood(machine: string): BootwrightError {
  const mebibytes = FLOOD_BYTES / 1024 / 1024
  return new BootwrightError(
    'GUEST_FLOOD',
    `Machine "${machine}" has flooded its console: more than ${mebibytes} MiB, with nobody who typed anything`,
    { hint: 'Something in it writes without end: the last lines tell what.', detail: { machine, mebibytes } },
  )
}
