import { BootwrightError } from '../../system/index.ts'
import { checkResponse, isLockedOut, maxTriesCommand, permanentCommand } from '../../tpm/index.ts'
import type { StoppedMachine } from '../machine.ts'
import { NETWORK_BACKEND } from '../qemu-command.ts'
import type { QmpEvent } from '../qmp.ts'
import type { RunningMachine } from '../running-machine.ts'
import { BlockLayers } from './block-layers.ts'
import { blkdebugRules, type DiskFault, faultLayer, stopRules } from './disk-fault.ts'
import type { DnsFailure } from './dns-answer.ts'
import { type DnsFaultOptions, failDns } from './dns-stage.ts'
import { type FaultRecord, recordedFaults, recordFault } from './fault-record.ts'
import { type Direction, type Impairment, impair, type LineStage } from './impairment.ts'
import { type LineCounts, PacketLine } from './packet-line.ts'
import { separate } from './separation.ts'
import { recordWrites, type WriteRecording } from './write-recording.ts'

/** A fault that lasts until it is ended, or until its scope is left. */
export interface ActiveFault extends AsyncDisposable {
  end(): Promise<void>
}

/** A fault of the line between the machine and its network. */
export interface LineFault extends ActiveFault {
  /** Packets since this fault began; those that other faults of the same time befell are among them. */
  counts(direction: Direction): LineCounts
}

/** A power cut that waits for its moment. */
export interface ArmedPowerCut extends ActiveFault {
  /** Resolves when the power is off; rejects with `GUEST_GONE` when the machine ended before it came to that. */
  readonly stopped: Promise<StoppedMachine>
}

/** What a running machine's faults reach besides its public face. */
export interface FaultHooks {
  /** Ends the TPM, if there is one. */
  endTpm(): Promise<void>
}

/** On the file system that is filled up. */
const FILLER = '.bootwright-filler'

/**
 * Takes all the room that root can have: a file system keeps some back even from it, so what does not fit as a whole is
 * tried in smaller pieces, and the rest is written. What is to be left is given back at the end.
 */
const FILL = `
room=$(( $(stat --file-system --format='%f * %S' -- "$2") )) at=0 size=$room
: >"$1" || exit 1
[ "$3" -lt "$room" ] || exit 0
while [ $size -ge 65536 ] && [ $at -lt $room ]; do
  [ $((at + size)) -le $room ] || size=$((room - at))
  if fallocate --offset $at --length $size -- "$1" 2>/dev/null; then at=$((at + size)); else size=$((size / 2)); fi
done
cat /dev/zero 2>/dev/null >>"$1"
[ "$3" -eq 0 ] || truncate --size="-$3" -- "$1"
sync -f -- "$2"
`

/**
 * Everything that can go wrong with a machine on purpose, one call each. Each call is noted in the machine's directory
 * ({@link recordedFaults}) before it takes effect.
 */
export class MachineFaults {
  readonly #machine: RunningMachine
  readonly #hooks: FaultHooks
  readonly #layers: BlockLayers
  #line: Promise<PacketLine> | undefined

  constructor(machine: RunningMachine, hooks: FaultHooks) {
    this.#machine = machine
    this.#hooks = hooks
    this.#layers = new BlockLayers(machine.qmp)
  }

  /** What was done to this machine up to now, over all its power-ons. */
  records(): Promise<FaultRecord[]> {
    return recordedFaults(this.#machine)
  }

  /** Pulls the network cable; the guest sees that its carrier is gone. Ending it plugs it in again. */
  async linkDown(): Promise<ActiveFault> {
    await this.#record('link down')
    await this.#setLink(false)
    return this.#active('link up', () => this.#setLink(true))
  }

  /** Makes the line to the network a bad one. Several add up. Rejects with `INVALID_ARGUMENT`. */
  line(impairment: Impairment): Promise<LineFault> {
    return this.#onLine('bad line', { ...impairment }, impair(impairment))
  }

  /**
   * Nothing passes between this machine and the others any more; the rest of the network stays in reach. They are machines of
   * the same network.
   */
  cutOffFrom(...others: readonly Pick<RunningMachine, 'name' | 'spec'>[]): Promise<LineFault> {
    const addresses = others.map(({ spec }) => spec.macAddress)
    return this.#onLine('cut off', { from: others.map(({ name }) => name).join(', ') }, separate(addresses))
  }

  /** The name server fails, for this machine alone. Names that the guest still knows are not asked for. */
  dns(failure: DnsFailure, options: DnsFaultOptions = {}): Promise<LineFault> {
    return this.#onLine('DNS failure', { failure, ...options }, failDns(failure, options))
  }

  /** The disk fails. Several may at once; what is above another one in time sees requests first. */
  async disk(fault: DiskFault): Promise<ActiveFault> {
    const rules = blkdebugRules(fault)
    await this.#record('disk fault', { ...fault })
    const remove = await this.#layers.push(faultLayer(rules))
    return this.#active('disk fault over', remove, { kind: fault.kind })
  }

  /**
   * Fills a file system of the guest up, so that its programs meet ENOSPC.
   *
   * @param leaveBytes how much room is left, roughly; none when absent
   */
  async fillDisk(path = '/', leaveBytes = 0): Promise<ActiveFault> {
    if (!(Number.isSafeInteger(leaveBytes) && leaveBytes >= 0)) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected a number of bytes to leave, found ${leaveBytes}`)
    }
    const filler = `${path.replace(/\/$/, '')}/${FILLER}`
    await this.#record('file system full', { path, leaveBytes })
    // The blocks that are reserved for root are filled as well: most of what runs is root.
    await this.#machine.run(['sh', '-c', FILL, 'sh', filler, path, String(leaveBytes)])
    return this.#active('file system has room', async () => {
      await this.#machine.run(['rm', '-f', '--', filler])
    })
  }

  /** Logs every write from now on; see {@link WriteRecording}. */
  async recordWrites(): Promise<WriteRecording> {
    await this.#record('writes recorded')
    return recordWrites(this.#machine.qmp, this.#layers, this.#machine.directory)
  }

  /**
   * Cuts the power at the n-th write or flush of the disk from now on, counted from 1: that one never reaches it, nor does
   * anything after it. Flushes of a disk that has nothing to flush are not counted.
   */
  async cutPowerAt(kind: 'write' | 'flush', n: number): Promise<ArmedPowerCut> {
    const rules = stopRules(kind, n)
    await this.#record(`power cut at ${kind} ${n}`)
    const machine = this.#machine
    const reached = Promise.withResolvers<void>()
    const stopListening = machine.qmp.onEvent((event) => {
      if (isOutOfSpace(event)) reached.resolve()
    })
    const gone = machine.qmp.closed.then(() => {
      throw new BootwrightError('GUEST_GONE', `Machine "${machine.name}" ended before ${kind} ${n} of its disk`)
    })
    const remove = await this.#layers.push(faultLayer(rules))
    const stopped = Promise.race([reached.promise, gone]).then(() => machine.cutPower())
    // Nobody has to wait for it.
    stopped.finally(stopListening).catch(() => undefined)
    stopped.catch(() => undefined)
    return { stopped, ...this.#active('power cut called off', remove) }
  }

  /** The TPM stops answering: swtpm is gone until the next power-on. Rejects with `INVALID_ARGUMENT` without a TPM. */
  async failTpm(): Promise<void> {
    this.#needTpm()
    await this.#record('TPM failed')
    await this.#hooks.endTpm()
  }

  /**
   * Dictionary attack lockout of the TPM, set by the guest itself: what a wrong password tried too often does. Rejects with
   * `TPM_REFUSED` when the TPM does not let us, and with `INVALID_ARGUMENT` without a TPM.
   */
  async lockTpm(): Promise<ActiveFault> {
    this.#needTpm()
    await this.#record('TPM locked out')
    const setTries = async (maxTries: number) => {
      checkResponse('TPM2_DictionaryAttackParameters', await this.#tpmCommand(maxTriesCommand(maxTries)))
    }
    await setTries(0)
    if (!isLockedOut(await this.#tpmCommand(permanentCommand()))) {
      throw new BootwrightError('TOOL_FAILED', 'The TPM is not locked after it was told to')
    }
    return this.#active('TPM lockout over', () => setTries(32))
  }

  /** Sets the guest's clock forward or back while it runs, as a wrong time server would. */
  async jumpClock(seconds: number): Promise<void> {
    if (!Number.isSafeInteger(seconds)) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected whole seconds for a jump of the clock, found ${seconds}`)
    }
    await this.#record('clock jump', { seconds })
    await this.#machine.run(['sh', '-c', 'date --utc --set="@$(( $(date +%s) + $1 ))"', 'sh', String(seconds)])
  }

  async #onLine(what: string, detail: FaultRecord['detail'], stage: LineStage): Promise<LineFault> {
    await this.#record(what, detail)
    this.#line ??= PacketLine.open(this.#machine.qmp, NETWORK_BACKEND)
    const line = await this.#line.catch((error: unknown) => {
      this.#line = undefined
      throw error
    })
    const added = line.add(stage)
    const fault = this.#active(`${what} over`, async () => added[Symbol.dispose]())
    const before = { 'from-machine': line.counts('from-machine'), 'to-machine': line.counts('to-machine') }
    const counts = (direction: Direction): LineCounts => {
      const [then, now] = [before[direction], line.counts(direction)]
      return {
        received: now.received - then.received,
        delivered: now.delivered - then.delivered,
        dropped: now.dropped - then.dropped,
      }
    }
    return { ...fault, counts }
  }

  async #setLink(up: boolean): Promise<void> {
    await this.#machine.qmp.execute('set_link', { name: NETWORK_BACKEND, up })
  }

  #tpmCommand(command: Buffer): Promise<Buffer> {
    return this.#machine.tpm.use((send) => send(command))
  }

  #needTpm(): void {
    if (this.#machine.spec.tpm !== 'absent') return
    throw new BootwrightError('INVALID_ARGUMENT', `Machine "${this.#machine.name}" has no TPM that could fail`)
  }

  /** A machine that is gone has no faults left to end. */
  #active(endWhat: string, undo: () => Promise<void>, detail: FaultRecord['detail'] = {}): ActiveFault {
    let ending: Promise<void> | undefined
    const end = (): Promise<void> => {
      ending ??= this.#machine.qmp.isClosed ? Promise.resolve() : this.#record(endWhat, detail).then(undo)
      return ending
    }
    return { end, [Symbol.asyncDispose]: end }
  }

  #record(what: string, detail: FaultRecord['detail'] = {}): Promise<void> {
    return recordFault(this.#machine.directory, what, detail)
  }
}

/** QEMU pauses a machine when its host has no room. */
function isOutOfSpace({ event, data }: QmpEvent): boolean {
  return event === 'BLOCK_IO_ERROR' && (data as { nospace?: boolean } | undefined)?.nospace === true
}
