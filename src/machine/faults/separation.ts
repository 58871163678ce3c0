import type { LineStage } from './impairment.ts'

const ADDRESS_BYTES = 6

/** Loses what goes to, or comes from, the cards with these addresses (`52:54:00:…`). */
export function separate(macAddresses: readonly string[]): LineStage {
  const others = new Set(macAddresses.map((address) => address.replaceAll(':', '').toLowerCase()))
  return (packet, direction) => {
    // Ethernet: destination, then source. What is for everybody comes from somebody.
    const at = direction === 'from-machine' ? 0 : ADDRESS_BYTES
    const other = Buffer.from(packet.frame.subarray(at, at + ADDRESS_BYTES)).toString('hex')
    return others.has(other) ? [] : [{ packet, afterMs: 0 }]
  }
}
