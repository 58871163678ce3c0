import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuiltImage } from '../image/index.ts'
import { RunningMachine, type StoppedMachine, withoutControls } from '../machine/index.ts'
import { type Answering, readSymptomLines, type Scene } from '../scene/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { ForkChoice } from './boot-options.ts'
import type { CallLog } from './call-log.ts'
import { keepEvidence } from './evidence.ts'
import { observed } from './observed.ts'
import type { Predictor } from './prediction.ts'
import { type AllowedSymptom, type Symptom, symptomsIn, unexpected } from './symptoms.ts'
import { type TestCloud, testCloud } from './test-cloud.ts'
import { within } from './within.ts'

const ANSWER_MS = 20_000
const CONSOLE_LINES = 12
const CONSOLE_BYTES = 8 * 1024 * 1024

export interface RecordParts {
  readonly image: BuiltImage
  readonly predict: Predictor
  readonly scene: Pick<Scene, 'network' | 'cloud'>
  /** Where its evidence goes. */
  readonly evidenceDirectory: string
  readonly allowedSymptoms: readonly AllowedSymptom[]
  readonly log: CallLog
  readonly toolchain: Toolchain
  /** It is not alone in its network. */
  readonly sharesNetwork: boolean
  /** A second machine from where this one is now, as a test holds it. */
  fork(original: MachineRecord, options: ForkChoice): Promise<object>
  /** Resources that end after the machine: scene, room. */
  readonly resources: AsyncDisposableStack
}

/**
 * A machine of a test, through all its states: on, off, on again. It outlives the scope in which the test used it, frozen,
 * until it is known how the test ended.
 */
export class MachineRecord {
  readonly parts: RecordParts
  #state: RunningMachine | StoppedMachine
  /** Every state it ever had: whoever owns the directory last removes it. */
  readonly #states: (RunningMachine | StoppedMachine)[]
  /** Symptoms that the test has asked for itself. */
  readonly #expected: AllowedSymptom[] = []
  #isAnswering: boolean
  #hasLeft = false
  #isFrozen = false
  #ending: Promise<void> | undefined

  constructor(state: RunningMachine, parts: RecordParts, isAnswering: boolean) {
    this.#state = state
    this.#states = [state]
    this.parts = parts
    this.#isAnswering = isAnswering
  }

  get log(): CallLog {
    return this.parts.log
  }

  get name(): string {
    return this.#state.name
  }

  /** Undefined while it is off. */
  get running(): RunningMachine | undefined {
    return this.#state instanceof RunningMachine ? this.#state : undefined
  }

  /** The test has no more use for it. */
  get hasLeft(): boolean {
    return this.#hasLeft
  }

  get isOver(): boolean {
    return this.#ending !== undefined
  }

  /** What the test holds in its hands: the state it is in, with every verb written down. */
  get face(): object {
    return this.#faceOf(this.#state)
  }

  #faceOf(state: RunningMachine | StoppedMachine): object {
    const face = observed(state, {
      log: this.log,
      extras: {
        cloud: this.#cloud(),
        fork: (options: ForkChoice = {}) => this.log.record('fork', [options], () => this.parts.fork(this, options)),
      },
      becomes: (next) => {
        if (next !== this.#state) {
          this.#state = next
          this.#states.push(next)
          this.#isAnswering = false
          this.#hasLeft = false
        }
        return this.#faceOf(next)
      },
      answered: (isAnswering) => {
        if (state === this.#state) this.#isAnswering = isAnswering
      },
      leave: () => this.leave(state),
    })
    RECORDS.set(face, this)
    return face
  }

  /** With each fault written down as if it were a verb of the machine. */
  #cloud(): TestCloud | undefined {
    const { cloud } = this.parts.scene
    if (cloud === undefined) return undefined
    const made = testCloud(cloud, () => this.#state.directory)
    return { ...made, fail: (...args) => this.log.record('cloud.fail', args, () => made.fail(...args)) }
  }

  /** The scope of a state was left. The machine stops where it is; it ends with the test. */
  async leave(state: RunningMachine | StoppedMachine): Promise<void> {
    if (state !== this.#state || this.isOver) return
    this.#hasLeft = true
    const { running } = this
    if (running === undefined || running.qmp.isClosed) return
    this.#isFrozen = true
    await running.qmp.execute('stop').catch(() => undefined)
  }

  /** Lets it go on, for those who still want something of it. */
  async thaw(): Promise<void> {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    await this.running?.qmp.execute('cont').catch(() => undefined)
  }

  /** From now on the guest can be asked. */
  guestAnswers(): void {
    this.#isAnswering = true
  }

  /** The test wanted this to be shown: from now on it is no symptom. */
  expectSymptom(symptom: AllowedSymptom): void {
    this.#expected.push(symptom)
  }

  /** Somebody in the guest who can be asked now. */
  get guest(): Answering | undefined {
    const { running } = this
    if (running === undefined || !this.#isAnswering || running.failure !== undefined || running.qmp.isClosed)
      return undefined
    return running
  }

  /** What the guest showed that must fail the test, from its console and, where it answers, from itself. */
  async symptoms(): Promise<Symptom[]> {
    const lines = await this.#consoleLog()
    await this.thaw()
    if (this.guest !== undefined) {
      // A guest that does not answer any more has told what it could on its console.
      lines.push(...(await within(ANSWER_MS, 'for its kernel log', readSymptomLines(this.guest)).catch(() => [])))
    }
    const allowed = [...this.parts.allowedSymptoms, ...this.#expected]
    return unexpected(symptomsIn(lines), allowed, this.#state.spec.accelerator)
  }

  /** The end of the console, also of what it said before a snapshot was made. */
  async lastLines(): Promise<string[]> {
    const shown = (await this.running?.console.lastLines(CONSOLE_LINES)) ?? []
    if (shown.length === CONSOLE_LINES) return shown
    const lines = (await this.#consoleLog()).map((line) => line.trimEnd())
    return lines.filter((line) => line !== '').slice(-CONSOLE_LINES)
  }

  /** Its lines, without control sequences; the last ones of a guest that floods it. */
  async #consoleLog(): Promise<string[]> {
    const text = await readEnd(join(this.#state.directory, 'console.log'), CONSOLE_BYTES).catch(() => '')
    return text.split('\n').map(withoutControls)
  }

  async keepEvidence(): Promise<void> {
    await this.thaw()
    const { scene, evidenceDirectory } = this.parts
    await keepEvidence(evidenceDirectory, {
      stateDirectory: this.#state.directory,
      guest: this.guest,
      qmp: this.running?.qmp,
      transcript: scene.cloud?.service.transcript.toJsonLines(),
      calls: this.log.lines('all'),
      toolchain: this.parts.toolchain,
    })
  }

  /** Ends it, and gives back what it had. */
  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    try {
      for (const state of this.#states.toReversed()) await state[Symbol.asyncDispose]()
    } finally {
      await this.parts.resources.disposeAsync()
    }
  }
}

async function readEnd(path: string, most: number): Promise<string> {
  await using file = await open(path)
  const { size } = await file.stat()
  const length = Math.min(size, most)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
  return buffer.toString('utf8', 0, bytesRead)
}

const RECORDS = new WeakMap<object, MachineRecord>()

/** The record of what a test holds in its hands; undefined for a machine that `boot` did not make. */
export function recordOf(face: unknown): MachineRecord | undefined {
  return typeof face === 'object' && face !== null ? RECORDS.get(face) : undefined
}
