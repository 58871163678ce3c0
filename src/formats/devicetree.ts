const HEADER_BYTES = 40
const MAGIC = 0xd00dfeed
/** Tokens of the structure block (Devicetree Specification 5.4.1). */
const [BEGIN_NODE, PROPERTY, NOP] = [1, 3, 4]

/**
 * The first of the `compatible` strings of a devicetree's root node, which names the device; undefined where systemd's stub
 * finds none, in a damaged blob too (Devicetree Specification 5).
 */
export function devicetreeCompatible(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < HEADER_BYTES || view.getUint32(0) !== MAGIC) return undefined
  const [size, structure, strings] = [view.getUint32(4), view.getUint32(8), view.getUint32(12)]
  const [stringsSize, structureSize] = [view.getUint32(32), view.getUint32(36)]
  if (size > bytes.byteLength || strings + stringsSize > size) return undefined
  if (structure % 4 !== 0 || structureSize % 4 !== 0 || structure + structureSize > strings) return undefined
  const end = structure + structureSize
  let at = structure
  while (at + 4 <= end) {
    const token = view.getUint32(at)
    at += 4
    if (token === NOP) continue
    if (token === BEGIN_NODE) {
      // The root has no name.
      if (at + 4 > end || view.getUint32(at) !== 0) return undefined
      at += 4
      continue
    }
    if (token !== PROPERTY || at + 12 > end) return undefined
    const [length, nameOffset] = [view.getUint32(at), view.getUint32(at + 4)]
    const value = at + 8
    if (textAt(bytes, strings + nameOffset, strings + stringsSize) === 'compatible') {
      const isWhole = length > 0 && value + length <= end && bytes[value + length - 1] === 0
      return isWhole ? textAt(bytes, value, value + length) : undefined
    }
    at = value + Math.ceil(length / 4) * 4
  }
  return undefined
}

function textAt(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start >= end) return undefined
  const nul = bytes.subarray(start, end).indexOf(0)
  return nul === -1 ? undefined : Buffer.from(bytes.subarray(start, start + nul)).toString('latin1')
}
