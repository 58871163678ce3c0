import type { RunEvent } from '../../sysupdate/index.ts'
import { TransferRate } from './transfer-rate.ts'

export type UpdatePhase = 'discovering' | 'making_room' | 'acquiring' | 'installing' | 'installed'

/** How far one transfer is. Bytes are those of its source, as they are sent. */
export interface TransferProgress {
  readonly id: string
  readonly phase: 'waiting' | 'acquiring' | 'acquired' | 'installed'
  readonly receivedBytes: number
  readonly totalBytes?: number
  readonly bytesPerSecond?: number
}

const PHASES = {
  'making-room': 'making_room',
  'acquiring-all': 'acquiring',
  installing: 'installing',
  installed: 'installed',
} as const

/** How far an update is, from what its run tells. */
export class UpdateProgress {
  readonly #now: () => number
  readonly #transfers = new Map<string, TransferProgress>()
  #phase: UpdatePhase = 'discovering'
  #version: string | undefined
  #rate = new TransferRate()

  /** @param now in milliseconds */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Gives whether something is another than before; what only counts on is not. */
  take(event: RunEvent): boolean {
    if (event.kind === 'chosen') {
      this.#version = event.version
      for (const { transfer, todo } of event.parts) {
        this.#set(transfer, { phase: todo === 'acquire' ? 'waiting' : 'acquired' })
      }
      return true
    }
    if (event.kind === 'step') {
      this.#phase = PHASES[event.step]
      if (event.step === 'installing') this.#endAcquiring()
      if (event.step === 'installed') for (const id of this.#transfers.keys()) this.#set(id, { phase: 'installed' })
      return true
    }
    if (event.kind === 'acquiring') {
      this.#endAcquiring()
      this.#rate = new TransferRate()
      this.#set(event.transfer, { phase: 'acquiring' })
      return true
    }
    if (event.kind === 'progress') {
      const { receivedBytes, totalBytes } = event
      this.#rate.add(this.#now(), receivedBytes)
      this.#set(event.transfer, { receivedBytes, ...(totalBytes === undefined ? {} : { totalBytes }) })
    }
    return false
  }

  get snapshot() {
    const { bytesPerSecond } = this.#rate
    const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond: Math.round(bytesPerSecond) }
    return {
      phase: this.#phase,
      ...(this.#version === undefined ? {} : { version: this.#version }),
      transfers: [...this.#transfers.values()].map((one) => (one.phase === 'acquiring' ? { ...one, ...rate } : one)),
    }
  }

  /** One is acquired after the other. */
  #endAcquiring(): void {
    for (const { id, phase, receivedBytes, totalBytes = receivedBytes } of this.#transfers.values()) {
      if (phase === 'acquiring') this.#set(id, { phase: 'acquired', receivedBytes: totalBytes })
    }
  }

  #set(id: string, change: Partial<TransferProgress>): void {
    const before = this.#transfers.get(id) ?? { id, phase: 'waiting', receivedBytes: 0 }
    this.#transfers.set(id, { ...before, ...change })
  }
}
