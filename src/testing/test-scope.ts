import { randomBytes } from 'node:crypto'
import { rm, rmdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { type BootContext, bootMachine, forkRecord, machineDirectory } from './boot.ts'
import type { BootOptions } from './boot-options.ts'
import { CallLog } from './call-log.ts'
import type { MachineRecord } from './machine-record.ts'
import { directoryName } from './run-id.ts'
import { SharedNetwork } from './shared-network.ts'
import { pauseBeforeEnd, sit } from './sit.ts'
import type { Symptom } from './symptoms.ts'
import type { Workbench } from './workbench.ts'

/** How a test ended, as far as Vitest knows. */
export interface TestOutcome {
  readonly isFailed: boolean
  /** Errors as they will be reported; the story of the machines is added to their messages. */
  readonly errors: readonly { message: string }[]
}

export interface TestScopeOptions {
  readonly workbench: Workbench
  /** Groups and name of the test, joined by ` > `. */
  readonly testName: string
  /** Counts the attempts of the same test, from 0. */
  readonly attempt: number
  /** Whether several tests have these machines. */
  readonly isShared: boolean
  readonly signal: AbortSignal
  notice(text: string): void
}

/** What one machine had shown when it ended before the test did. */
interface Retired {
  readonly record: MachineRecord
  readonly symptoms: readonly Symptom[]
}

/**
 * All machines of a test. They live until it is known how the test ended: then what is left of them is evidence, or is
 * removed.
 */
export class TestScope {
  readonly directory: string
  readonly #options: TestScopeOptions
  readonly #records: MachineRecord[] = []
  readonly #retired: Retired[] = []
  readonly #logs: CallLog[] = []
  /** They end after the machines in them. */
  readonly #networks = new AsyncDisposableStack()
  #count = 0
  #networkCount = 0
  #isOver = false

  constructor(options: TestScopeOptions) {
    this.#options = options
    const { project, runId } = options.workbench.settings
    const attempt = options.attempt === 0 ? '' : `-attempt-${options.attempt + 1}`
    this.directory = join(project.outDirectory, 'runs', runId, `${directoryName(options.testName)}${attempt}`)
  }

  /** A network for several machines; it ends with the test. */
  async openNetwork(): Promise<SharedNetwork> {
    const { workbench, signal } = this.#options
    const directory = join(this.directory, `network-${++this.#networkCount}`)
    const { network, owned } = await SharedNetwork.open(await workbench.tools(), directory, signal)
    this.#networks.use(owned)
    return network
  }

  async boot(image: string, options: BootOptions): Promise<object> {
    if (this.#isOver) throw new BootwrightError('INVALID_ARGUMENT', `The test "${this.#options.testName}" is over`)
    await this.#retireLeft()
    return (await bootMachine(image, options, this.#context(image))).face
  }

  /** What the next machine of the test is started with. */
  #context(image: string): BootContext {
    const { workbench, testName, isShared, signal } = this.#options
    const log = new CallLog()
    this.#logs.push(log)
    return {
      workbench,
      owner: `${testName} (process ${process.pid})`,
      isShared,
      directory: machineDirectory(this.directory, ++this.#count),
      name: `${workbench.settings.runId}-${randomBytes(4).toString('hex')}`,
      signal,
      notice: (text) => this.#options.notice(`${image}: ${text}`),
      adopt: (made) => this.#records.push(made),
      log,
      fork: async (original, options) => {
        const made = await forkRecord(original, options, this.#context(original.parts.image.name))
        return made.face
      },
    }
  }

  /**
   * Ends everything. Rejects with `GUEST_SYMPTOM` when a guest showed what fails the test though its assertions held.
   */
  async end(outcome: TestOutcome): Promise<void> {
    this.#isOver = true
    const { settings } = this.#options.workbench
    const alive = this.#records.filter(({ isOver }) => !isOver)
    const shown = [...this.#retired]
    for (const record of alive) shown.push({ record, symptoms: await record.symptoms() })
    const symptoms = shown.flatMap((retired) => retired.symptoms)
    const isFailed = outcome.isFailed || symptoms.length > 0
    try {
      if (isFailed || settings.keep) for (const record of alive) await record.keepEvidence()
      if (isFailed) await this.tell(outcome.errors, symptoms)
      await this.#stay(alive, isFailed, outcome)
    } finally {
      for (const record of alive) await record.end()
      await this.#networks.disposeAsync()
      if (!isFailed && !settings.keep) await this.#removeEvidence()
    }
    if (symptoms.length > 0 && !outcome.isFailed) throw await this.#symptomError(symptoms)
  }

  /** A machine that the test has left makes room for the next one; how the test ends is not known yet. */
  async #retireLeft(): Promise<void> {
    for (const record of this.#records.filter(({ hasLeft, isOver }) => hasLeft && !isOver)) {
      this.#retired.push({ record, symptoms: await record.symptoms() })
      await record.keepEvidence()
      await record.end()
    }
  }

  async #stay(alive: readonly MachineRecord[], isFailed: boolean, outcome: TestOutcome): Promise<void> {
    const { settings } = this.#options.workbench
    const [record] = alive
    if (record === undefined) return
    const why = outcome.errors[0]?.message.split('\n', 1)[0] ?? 'a guest showed a symptom'
    if (settings.sit && isFailed) await sit(record, `${this.#options.testName} failed: ${why}`)
    else if (settings.debug) {
      for (const one of alive) await one.thaw()
      await pauseBeforeEnd(alive.map(({ name }) => name))
    }
  }

  /** Adds to each error what happened to the machines. */
  async tell(errors: TestOutcome['errors'], symptoms: readonly Symptom[] = []): Promise<void> {
    const story = await this.#story(symptoms)
    if (story === '') return
    for (const error of errors) if (!error.message.includes(STORY)) error.message += `\n\n${story}`
  }

  async #symptomError(symptoms: readonly Symptom[]): Promise<BootwrightError> {
    const [first] = symptoms
    return new BootwrightError(
      'GUEST_SYMPTOM',
      `The assertions held, but the guest showed ${symptoms.length === 1 ? 'a symptom' : `${symptoms.length} symptoms`}: ` +
        `${first?.line}\n\n${await this.#story(symptoms)}`,
      { hint: 'Mend it, or allow it with its reason: `allowedSymptoms` of boot() or of bootwright.json.' },
    )
  }

  async #story(symptoms: readonly Symptom[]): Promise<string> {
    const parts: string[] = []
    for (const [index, log] of this.#logs.entries()) {
      const title = this.#logs.length === 1 ? STORY : `${STORY}, machine ${index + 1}`
      parts.push(indented(`${title}:`, log.lines()))
    }
    if (symptoms.length > 0) {
      const lines = symptoms.map(({ kind, line }) => `${kind}: ${line}`)
      parts.push(indented('What the guest showed:', lines.slice(0, 10)))
    }
    const last = this.#records.at(-1)
    if (last !== undefined && !last.isOver) {
      const lines = await last.lastLines()
      parts.push(lines.length === 0 ? 'Its console is empty.' : indented('The end of its console:', lines))
    }
    if (this.#records.length > 0) parts.push(`Evidence: ${relative(process.cwd(), this.directory)}`)
    return parts.join('\n')
  }

  async #removeEvidence(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
    // The run's own directory goes with the last of its tests, unless another one has left something there.
    await rmdir(dirname(this.directory)).catch(() => undefined)
  }
}

const STORY = 'What was tried, in order'

function indented(title: string, lines: readonly string[]): string {
  return [title, ...lines.map((line) => `  ${line}`)].join('\n')
}
