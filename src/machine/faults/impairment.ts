import { seededRandom } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { corrupted } from './packet.ts'
import type { Packet } from './packet-stream.ts'

export type Direction = 'from-machine' | 'to-machine'

/** What a bad line does to the packets on it. Shares are from 0 to 1. */
export interface Impairment {
  /** Later, by this much, in each direction that it befalls. */
  readonly delayMs?: number
  /** Later or earlier, by up to this much; packets may overtake each other. */
  readonly jitterMs?: number
  readonly loss?: number
  readonly duplicate?: number
  /** With a damaged byte and the checksum of before, which the receiver then drops. */
  readonly corrupt?: number
  /** Both when absent. */
  readonly direction?: Direction
  /** The same packets meet the same fate with the same seed; 1 when absent. */
  readonly seed?: number
}

/** What becomes of one packet: nothing, or one and more of it, each after a time. */
export interface Delivery {
  readonly packet: Packet
  readonly afterMs: number
}

/** Something on the line between a machine and its network. */
export type LineStage = (packet: Packet, direction: Direction, reply: (packet: Packet) => void) => readonly Delivery[]

const MAX_DELAY_MS = 600_000

/** Makes the packets of a line meet their fate. Rejects with `INVALID_ARGUMENT`. */
export function impair(impairment: Impairment): LineStage {
  const { delayMs = 0, jitterMs = 0, loss = 0, duplicate = 0, corrupt = 0, direction: only, seed = 1 } = impairment
  for (const [name, share] of Object.entries({ loss, duplicate, corrupt })) {
    if (!(share >= 0 && share <= 1)) refuse(`${name} from 0 to 1`, share)
  }
  for (const [name, ms] of Object.entries({ delayMs, jitterMs })) {
    if (!(ms >= 0 && ms <= MAX_DELAY_MS)) refuse(`${name} from 0 to ${MAX_DELAY_MS}`, ms)
  }
  if (!Number.isSafeInteger(seed)) refuse('a whole number as seed', seed)
  const random = seededRandom(seed)
  // One that never happens draws no number: adding it must not change what happens to the others.
  const happens = (share: number) => share > 0 && random() < share
  const later = () => Math.max(0, delayMs + (jitterMs === 0 ? 0 : (random() * 2 - 1) * jitterMs))
  return (packet, direction) => {
    if (only !== undefined && direction !== only) return [{ packet, afterMs: 0 }]
    if (happens(loss)) return []
    const shown = happens(corrupt) ? corrupted(packet, random) : packet
    if (shown === undefined) return []
    const once = { packet: shown, afterMs: later() }
    return happens(duplicate) ? [once, { packet: shown, afterMs: later() }] : [once]
  }
}

function refuse(expected: string, found: number): never {
  throw new BootwrightError('INVALID_ARGUMENT', `A network fault needs ${expected}, found ${found}`, {
    hint: 'For example { delayMs: 200, jitterMs: 20, loss: 0.1 }.',
  })
}
