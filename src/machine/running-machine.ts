import type { Socket } from 'node:net'
import { join } from 'node:path'
import { BootwrightError, type NamespacedProcess } from '../system/index.ts'
import { BootWatch } from './boot-watch.ts'
import { GuestChannel, type GuestResult, type GuestRunOptions } from './channel.ts'
import { ConsoleLog } from './console.ts'
import { failureOn } from './console-signs.ts'
import type { StartOptions, StoppedMachine } from './machine.ts'
import type { MeasuredInput } from './measured-input.ts'
import { saveMemory } from './migration.ts'
import type { Qmp } from './qmp.ts'
import { SNAPSHOT_RAM } from './snapshot.ts'
import type { MachineSpec } from './spec.ts'
import type { StateDirectory } from './state-directory.ts'

interface Parts {
  readonly spec: MachineSpec
  readonly name: string
  readonly state: StateDirectory
  readonly qemu: NamespacedProcess
  readonly tpm: NamespacedProcess | undefined
  readonly qmp: Qmp
  readonly consoleSocket: Socket
  readonly channelSocket: Socket | undefined
  readonly measured: readonly MeasuredInput[]
  /** It goes on where another machine was saved: its guest's end of the channel has long spoken. */
  readonly isResumed: boolean
  powerOn(options: StartOptions): Promise<RunningMachine>
}

export interface CommandOutput {
  readonly stdout: string
  readonly stderr: string
}

/** How many console lines an error shows. */
const SHOWN_LINES = 12
/** A failure is rarely one line: what follows it on the console belongs to the story. */
const STORY_MS = 500

/** One power-on. Leaving the scope cuts the power and discards the state, unless it is kept. */
export class RunningMachine implements AsyncDisposable {
  readonly spec: MachineSpec
  readonly name: string
  readonly console: ConsoleLog
  readonly qmp: Qmp
  /** What this machine itself adds to the measurements of its image. */
  readonly measured: readonly MeasuredInput[]
  readonly #parts: Parts
  readonly #channel: GuestChannel | undefined
  readonly #failed = Promise.withResolvers<never>()
  #failure: BootwrightError | undefined
  #isStopping = false
  /** A stopped machine takes the state over. */
  #ownsState = true

  constructor(parts: Parts) {
    this.#parts = parts
    this.spec = parts.spec
    this.name = parts.name
    this.qmp = parts.qmp
    this.measured = parts.measured
    this.console = new ConsoleLog(parts.consoleSocket)
    this.#channel = parts.channelSocket === undefined ? undefined : new GuestChannel(parts.channelSocket, { isOpen: parts.isResumed })
    // Nobody has to wait for it.
    this.#failed.promise.catch(() => undefined)
    this.console.onLine((line) => {
      const failure = failureOn(this.name, line)
      if (failure !== undefined) void this.#fail(failure, STORY_MS)
    })
    void parts.qemu.ended.then(({ exitCode, signal }) => {
      if (this.#isStopping) return
      const isClean = exitCode === 0
      void this.#fail(
        isClean
          ? new BootwrightError('GUEST_GONE', `Machine "${this.name}" switched itself off`)
          : new BootwrightError(
              'HELPER_EXITED',
              `QEMU of machine "${this.name}" ended with ${signal ?? `status ${exitCode}`}`,
              {
                hint: `Its own words are in ${parts.state.path}/qemu.log.`,
              },
            ),
        0,
      )
    })
  }

  /** Where its disk, variable store, TPM state and logs are. */
  get directory(): string {
    return this.#parts.state.path
  }

  /** The failure that the console, QEMU or the guest has shown, if any. */
  get failure(): BootwrightError | undefined {
    return this.#failure
  }

  /**
   * Resolves when systemd has finished booting, with its state (`running`, `degraded`, …). Rejects as soon as the machine
   * cannot get there any more (panic, emergency mode, refusal by the firmware), and with `BOOT_STALLED` when nothing has
   * moved for `idleMs`.
   */
  async booted(options: { signal?: AbortSignal | undefined; idleMs?: number } = {}): Promise<string> {
    await using watch = new BootWatch(this, options)
    try {
      await Promise.race([this.#needChannel().ready(watch.signal), this.#failed.promise, watch.stalled])
      watch.guestAnswers()
      const waiting = this.#needChannel().run(['systemctl', 'is-system-running', '--wait'], { signal: watch.signal })
      const { stdout, stderr } = await Promise.race([waiting, this.#failed.promise, watch.stalled])
      const state = stdout.toString().trim()
      if (state !== '') return state
      throw new BootwrightError(
        'GUEST_COMMAND_FAILED',
        `systemctl is-system-running gave no state of the system: ${stderr.toString().trim()}`,
      )
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error
    }
  }

  /** Runs argv in the guest; no shell, so nothing to quote. Rejects with `GUEST_COMMAND_FAILED` on a non-zero exit. */
  async run(argv: readonly string[], options: GuestRunOptions = {}): Promise<CommandOutput> {
    const { exitCode, stdout, stderr } = await this.runUnchecked(argv, options)
    if (exitCode !== 0) {
      const said = (stderr.toString().trim() || stdout.toString().trim()).split('\n').slice(-5).join('\n')
      throw new BootwrightError(
        'GUEST_COMMAND_FAILED',
        `${argv.join(' ')} failed in the guest with status ${exitCode}: ${said}`,
        {
          detail: { exitCode },
        },
      )
    }
    return { stdout: stdout.toString(), stderr: stderr.toString() }
  }

  /** Runs argv in the guest whatever its exit status; output as bytes. */
  runUnchecked(argv: readonly string[], options: GuestRunOptions = {}): Promise<GuestResult> {
    return Promise.race([this.#needChannel().run(argv, options), this.#failed.promise])
  }

  readFile(path: string): Promise<Buffer> {
    return Promise.race([this.#needChannel().readFile(path), this.#failed.promise])
  }

  writeFile(path: string, bytes: string | Uint8Array, mode?: number): Promise<void> {
    return Promise.race([this.#needChannel().writeFile(path, bytes, mode), this.#failed.promise])
  }

  /** Resolves when the unit is active; rejects at once with `GUEST_UNIT_FAILED` when it fails. */
  async unitActive(name: string, options: { signal?: AbortSignal | undefined; idleMs?: number } = {}): Promise<void> {
    await using watch = new BootWatch(this, options)
    for (;;) {
      const asked = this.#needChannel().run(
        ['systemctl', 'show', '--property=ActiveState,Result,LoadState', '--', name],
        {
          signal: watch.signal,
        },
      )
      const { stdout } = await Promise.race([asked, this.#failed.promise, watch.stalled])
      const facts = new Map(
        stdout
          .toString()
          .trim()
          .split('\n')
          .map((line) => line.split('=', 2) as [string, string]),
      )
      const state = facts.get('ActiveState')
      if (state === 'active') return
      if (state === 'failed' || facts.get('LoadState') === 'not-found') {
        throw new BootwrightError(
          'GUEST_UNIT_FAILED',
          `Expected ${name} to become active, found it ${state} (${facts.get('Result')})`,
          {
            hint: `\`systemctl status ${name}\` in the guest tells more.`,
            detail: { unit: name },
          },
        )
      }
      watch.saw(`${name} ${state}`)
      await watch.pause(250)
    }
  }

  /**
   * Shuts the guest down in order; resolves when it is off. Rejects with the failure that keeps it from that, and with
   * `BOOT_STALLED` when nothing has moved for `idleMs`.
   */
  async powerOff(options: { signal?: AbortSignal | undefined; idleMs?: number } = {}): Promise<StoppedMachine> {
    this.#isStopping = true
    await using watch = new BootWatch(this, options)
    if (this.#channel === undefined) await this.qmp.execute('system_powerdown')
    else void this.#channel.run(['systemctl', 'poweroff']).catch(() => undefined)
    await Promise.race([this.#parts.qemu.ended, this.#failed.promise, watch.stalled])
    return this.#stopped()
  }

  /** Cuts the power: no flush, no ACPI event. */
  async cutPower(): Promise<StoppedMachine> {
    await this.#end()
    return this.#stopped()
  }

  /**
   * Freezes the machine for good, with memory, devices, disk, variable store and TPM beside each other in its directory,
   * from where {@link Machine.resume} goes on any number of times.
   */
  async save(): Promise<StoppedMachine> {
    await this.qmp.execute('stop')
    await saveMemory(this.qmp, join(this.directory, SNAPSHOT_RAM))
    await this.#end()
    return this.#stopped()
  }

  /** Resolves when the machine goes off by itself. */
  async off(): Promise<void> {
    await this.#parts.qemu.ended
  }

  /** Keeps the state directory when the scope is left. */
  keep(): Promise<void> {
    return this.#parts.state.keep()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
    if (this.#ownsState) await this.#parts.state[Symbol.asyncDispose]()
  }

  /** An error of this machine, with the last lines of its console. */
  async explain(error: BootwrightError): Promise<BootwrightError> {
    const lines = await this.console.lastLines(SHOWN_LINES)
    const story = lines.length === 0 ? 'Its console is empty.' : `The end of its console:\n  ${lines.join('\n  ')}`
    return new BootwrightError(error.code, `${error.message}\n${story}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      detail: { ...error.detail, directory: this.directory },
      cause: error.cause,
    })
  }

  async #fail(failure: BootwrightError, afterMs: number): Promise<void> {
    if (this.#failure !== undefined) return
    this.#failure = failure
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    this.#failure = await this.explain(failure)
    this.#channel?.fail(this.#failure)
    this.#failed.reject(this.#failure)
  }

  async #end(): Promise<void> {
    this.#isStopping = true
    if (!this.qmp.isClosed) {
      const quitting = this.qmp.execute('quit').catch(() => undefined)
      const patience = new Promise((resolve) => setTimeout(resolve, 2_000).unref())
      await Promise.race([quitting.then(() => this.#parts.qemu.ended), patience])
    }
    await this.#parts.qemu.end()
    await this.#parts.tpm?.end('SIGTERM')
  }

  async #stopped(): Promise<StoppedMachine> {
    await this.#parts.tpm?.ended
    const { spec, name, state, powerOn } = this.#parts
    this.#ownsState = false
    let isOurs = true
    return {
      spec,
      name,
      directory: state.path,
      async restart(options = {}) {
        const running = await powerOn(options)
        isOurs = false
        return running
      },
      keep: () => state.keep(),
      async [Symbol.asyncDispose]() {
        if (isOurs) await state[Symbol.asyncDispose]()
      },
    }
  }

  #needChannel(): GuestChannel {
    if (this.#channel !== undefined) return this.#channel
    throw new BootwrightError('INVALID_ARGUMENT', `Machine "${this.name}" was made without a guest channel`, {
      hint: 'Start it with `channel: true` to run commands in it.',
    })
  }
}
