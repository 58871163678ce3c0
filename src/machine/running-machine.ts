import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { BootwrightError, type NamespacedProcess } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { type ObservedBoot, observedBoot } from '../tpm/index.ts'
import { BootWatch } from './boot-watch.ts'
import { GuestChannel, type GuestResult, type GuestRunOptions } from './channel.ts'
import { ConsoleLog } from './console.ts'
import { copyIn } from './copy-in.ts'
import { copyOut } from './copy-out.ts'
import { MachineFaults } from './faults/machine-faults.ts'
import { type CommandOutput, checkedOutput, type Guest, type WaitOptions } from './guest.ts'
import type { GuestProcess } from './guest-process.ts'
import { firmwareEventLog, type GuestTpm, guestTpm } from './guest-tpm.ts'
import { type JournalEntry, type JournalOptions, journal } from './journal.ts'
import type { StoppedMachine } from './machine.ts'
import { MachineFailure } from './machine-failure.ts'
import type { MeasuredInput } from './measured-input.ts'
import { saveMemory } from './migration.ts'
import { type KexecOptions, kexec, reboot, softReboot } from './power.ts'
import { CHANNEL_DEVICE } from './qemu-command.ts'
import type { Qmp } from './qmp.ts'
import { screenshot, sendKey, type } from './screen.ts'
import { copyState, SNAPSHOT_RAM, TPM_LOG } from './snapshot.ts'
import type { MachineSpec } from './spec.ts'
import type { StateDirectory } from './state-directory.ts'
import { type PowerOnAgain, stoppedMachine } from './stopped-machine.ts'
import { failedUnits, unitActive, unitFailed } from './units.ts'
import { type VarlinkClient, varlink } from './varlink.ts'

interface Parts {
  readonly spec: MachineSpec
  readonly name: string
  readonly toolchain: Toolchain
  readonly state: StateDirectory
  readonly qemu: NamespacedProcess
  readonly tpm: NamespacedProcess | undefined
  readonly qmp: Qmp
  readonly consoleSocket: Socket
  readonly channelSocket: Socket | undefined
  readonly measured: readonly MeasuredInput[]
  /** It goes on where another machine was saved: its guest's end of the channel has long spoken. */
  readonly isResumed: boolean
  readonly silenceMs: number | undefined
  readonly powerOn: PowerOnAgain
}

/** One power-on. Leaving the scope cuts the power and discards the state, unless it is kept. */
export class RunningMachine implements Guest, AsyncDisposable {
  readonly spec: MachineSpec
  readonly name: string
  readonly console: ConsoleLog
  /** What can be made to go wrong with it. */
  readonly faults: MachineFaults
  readonly qmp: Qmp
  /** What this machine itself adds to the measurements of its image. */
  readonly measured: readonly MeasuredInput[]
  /** Its TPM, as the guest sees it. */
  readonly tpm: GuestTpm
  readonly #parts: Parts
  readonly #channel: GuestChannel | undefined
  readonly #failure: MachineFailure
  /** A stopped machine takes the state over. */
  #ownsState = true

  constructor(parts: Parts) {
    this.#parts = parts
    this.spec = parts.spec
    this.name = parts.name
    this.qmp = parts.qmp
    this.measured = parts.measured
    this.faults = new MachineFaults(this, { endTpm: async () => parts.tpm?.end() })
    this.console = new ConsoleLog(parts.consoleSocket)
    const { channelSocket, isResumed: isOpen, silenceMs } = parts
    this.#channel = channelSocket === undefined ? undefined : new GuestChannel(channelSocket, { isOpen, silenceMs })
    this.tpm = guestTpm(this)
    this.qmp.onEvent(({ event, data }) => {
      if (this.#channel === undefined) return
      if (event === 'STOP' || event === 'RESUME') this.#channel.isPaused = event === 'STOP'
      if (event !== 'VSERPORT_CHANGE') return
      const port = data as { id: string; open: boolean }
      if (port.id === CHANNEL_DEVICE && !port.open) this.#channel.guestClosed()
    })
    this.#failure = new MachineFailure(this, parts.qemu, (failure) => {
      this.#channel?.fail(failure)
      // It would go on until the disk of its host is full.
      if (failure.code === 'GUEST_FLOOD') this.pause().catch(() => undefined)
    })
  }

  /** Where its disk, variable store, TPM state and logs are. */
  get directory(): string {
    return this.#parts.state.path
  }

  /** The failure that the console, QEMU or the guest has shown, if any. */
  get failure(): BootwrightError | undefined {
    return this.#failure.error
  }

  /** Whether a command would be run in the guest now, without waiting for it to boot. */
  get isAnswering(): boolean {
    return this.#channel?.isOpen === true
  }

  /**
   * Resolves when systemd has finished booting, with its state (`running`, `degraded`, …). Rejects as soon as the machine
   * cannot get there any more (panic, emergency mode, refusal by the firmware), and with `BOOT_STALLED` when nothing has
   * moved for `idleMs`.
   */
  async booted(options: WaitOptions = {}): Promise<string> {
    await using watch = new BootWatch(this, options)
    try {
      await Promise.race([this.#needChannel().ready(watch.signal), this.#failure.promise, watch.stalled])
      watch.guestAnswers()
      const waiting = this.#needChannel().run(['systemctl', 'is-system-running', '--wait'], { signal: watch.signal })
      const { stdout, stderr } = await Promise.race([waiting, this.#failure.promise, watch.stalled])
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
    return checkedOutput(argv, await this.runUnchecked(argv, options))
  }

  /** Runs argv in the guest whatever its exit status; output as bytes. */
  async runUnchecked(argv: readonly string[], options: GuestRunOptions = {}): Promise<GuestResult> {
    return this.#asked((channel) => channel.run(argv, options), options.signal)
  }

  /** Starts argv in the guest, with streams that are alive; `exited` tells how it ended. The signal kills it. */
  async spawn(argv: readonly string[], options: { signal?: AbortSignal | undefined } = {}): Promise<GuestProcess> {
    return this.#asked((channel) => channel.spawn(argv, options), options.signal)
  }

  async readFile(path: string): Promise<Buffer> {
    return this.#asked((channel) => channel.readFile(path))
  }

  /** Writes a file in the guest, aside and renamed; makes its directories. */
  async writeFile(path: string, bytes: string | Uint8Array, mode?: number): Promise<void> {
    return this.#asked((channel) => channel.writeFile(path, bytes, mode))
  }

  /** Copies a file or directory to `guestPath`, the name of the copy ({@link copyIn}). */
  copyIn(hostPath: string, guestPath: string): Promise<void> {
    return copyIn(this, this.#parts.toolchain, hostPath, guestPath)
  }

  /** Copies a file or directory to `hostPath`, the name of the copy ({@link copyOut}). */
  copyOut(guestPath: string, hostPath: string): Promise<void> {
    return copyOut(this, this.#parts.toolchain, guestPath, hostPath)
  }

  /** Resolves when the unit is active; rejects at once with `GUEST_UNIT_FAILED` when it fails. */
  unitActive(name: string, options: WaitOptions = {}): Promise<void> {
    return unitActive(this, name, options)
  }

  /** Resolves when the unit has failed; rejects at once with `GUEST_UNIT_FAILED` when it has ended well. */
  unitFailed(name: string, options: WaitOptions = {}): Promise<void> {
    return unitFailed(this, name, options)
  }

  /** Names of the units that have failed, sorted. */
  failedUnits(): Promise<string[]> {
    return failedUnits(this)
  }

  /** Entries of the journal from the start of this boot, and then as they come; leaving the loop ends it. */
  journal(options: JournalOptions = {}): AsyncGenerator<JournalEntry, void, undefined> {
    return journal(this, options)
  }

  /** A client of a varlink service in the guest, by the path of its socket. */
  varlink(address: string): VarlinkClient {
    return varlink(this, address)
  }

  /** The firmware's event log as bytes, for `parseEventLog`. */
  eventLog(): Promise<Buffer> {
    return firmwareEventLog(this)
  }

  /**
   * What the TPM did to its PCRs in this boot, by the commands that it was sent: seen from the host, whatever the guest
   * says. Rejects with `INVALID_ARGUMENT` without a TPM.
   */
  async observedBoot(): Promise<ObservedBoot> {
    if (this.spec.tpm === 'absent') throw new BootwrightError('INVALID_ARGUMENT', 'The machine has no TPM to observe')
    return observedBoot(await readFile(join(this.directory, TPM_LOG), 'utf8'))
  }

  /** Restarts the guest through its firmware; resolves when its channel answers again, before it has {@link booted}. */
  async reboot(options: WaitOptions = {}): Promise<void> {
    await this.#race(reboot(this, this.#needChannel(), options))
  }

  /** Restarts userspace under the running kernel; resolves when the channel answers again. */
  async softReboot(options: WaitOptions = {}): Promise<void> {
    await this.#race(softReboot(this, this.#needChannel(), options))
  }

  /** Goes on with another kernel, without the firmware; resolves when the channel answers again. */
  async kexec(options: KexecOptions = {}): Promise<void> {
    await this.#race(kexec(this, this.#needChannel(), options))
  }

  /** Stops the machine's processors, and with them all that waits for the guest, until {@link resume}. */
  async pause(): Promise<void> {
    await this.qmp.execute('stop')
  }

  async resume(): Promise<void> {
    await this.qmp.execute('cont')
  }

  /** What its screen shows, as PNG; for a machine with `screen: true`. */
  screenshot(path?: string): Promise<Buffer> {
    return screenshot(this, path)
  }

  /** Types on its keyboard (US layout); to type on the serial console, use `console.write`. */
  type(text: string): Promise<void> {
    return type(this.qmp, text)
  }

  /** Presses keys together, as `ctrl-alt-delete`. */
  sendKey(keys: string): Promise<void> {
    return sendKey(this.qmp, keys)
  }

  /**
   * Shuts the guest down in order; resolves when it is off. Rejects with the failure that keeps it from that, and with
   * `BOOT_STALLED` when nothing has moved for `idleMs`.
   */
  async powerOff(options: WaitOptions = {}): Promise<StoppedMachine> {
    this.#failure.expectEnd()
    await using watch = new BootWatch(this, options)
    if (this.#channel === undefined) await this.qmp.execute('system_powerdown')
    else void this.#channel.run(['systemctl', 'poweroff']).catch(() => undefined)
    await Promise.race([this.#parts.qemu.ended, this.#failure.promise, watch.stalled])
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

  /**
   * Writes what {@link save} keeps into an empty directory, and goes on: {@link Machine.resume} makes others from there. The
   * machine stands still meanwhile.
   */
  async snapshot(directory: string): Promise<void> {
    const { running } = await this.qmp.execute('query-status')
    await this.qmp.execute('stop')
    try {
      // With the memory written QEMU has let go of its disks: what their files hold is all there is.
      await saveMemory(this.qmp, join(directory, SNAPSHOT_RAM))
      await copyState(this.directory, directory, this.spec)
    } finally {
      if (running && !this.qmp.isClosed) await this.qmp.execute('cont')
    }
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
  explain(error: BootwrightError): Promise<BootwrightError> {
    return this.#failure.explain(error)
  }

  async #end(): Promise<void> {
    this.#failure.expectEnd()
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
    this.#ownsState = false
    return stoppedMachine(this.#parts)
  }

  /**
   * Asks the guest something, first waiting until it answers. Rejects with `BOOT_STALLED` when it does not get there, and with
   * `GUEST_SILENT` when it does not answer any more.
   */
  async #asked<T>(ask: (channel: GuestChannel) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const channel = this.#needChannel()
    try {
      if (!channel.isOpen) {
        await using watch = new BootWatch(this, { signal })
        await Promise.race([channel.ready(watch.signal), watch.stalled])
      }
      return await ask(channel)
    } catch (error) {
      signal?.throwIfAborted()
      throw error instanceof BootwrightError && error.code === 'GUEST_SILENT' ? await this.explain(error) : error
    }
  }

  /** What the console shows of a failure comes before what the wait itself finds out. */
  #race<T>(wait: Promise<T>): Promise<T> {
    return Promise.race([wait, this.#failure.promise])
  }

  #needChannel(): GuestChannel {
    if (this.#channel !== undefined) return this.#channel
    throw new BootwrightError('INVALID_ARGUMENT', `Machine "${this.name}" was made without a guest channel`, {
      hint: 'Start it with `channel: true` to run commands in it.',
    })
  }
}
