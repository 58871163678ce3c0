/** One property: the pattern of its device, its name and value, and where it stands. */
export interface HwdbLine {
  readonly pattern: string
  readonly key: string
  readonly value: string
  readonly priority?: number
  readonly line?: number
}

interface Node {
  readonly children: Map<string, Node>
  readonly lines: HwdbLine[]
}

/** A small `hwdb.bin` with a node for every character. */
export function hwdbFile(lines: readonly HwdbLine[]): Buffer {
  const root: Node = { children: new Map(), lines: [] }
  for (const line of lines) {
    let node = root
    for (const character of line.pattern) {
      const next = node.children.get(character) ?? { children: new Map(), lines: [] }
      node.children.set(character, next)
      node = next
    }
    node.lines.push(line)
  }
  const parts: Buffer[] = [Buffer.alloc(80)]
  let size = 80
  const add = (part: Buffer): number => {
    parts.push(part)
    size += part.length
    return size - part.length
  }
  const text = (value: string): bigint => BigInt(add(Buffer.from(`${value}\0`)))
  const empty = text('')
  const write = (node: Node): number => {
    const children = [...node.children]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([character, child]) => {
        const entry = Buffer.alloc(16)
        entry.write(character, 'latin1')
        entry.writeBigUInt64LE(BigInt(write(child)), 8)
        return entry
      })
    const values = node.lines.map(({ key, value, priority = 1, line = 1 }) => {
      const entry = Buffer.alloc(32)
      entry.writeBigUInt64LE(text(` ${key}`), 0)
      entry.writeBigUInt64LE(text(value), 8)
      entry.writeBigUInt64LE(empty, 16)
      entry.writeUInt32LE(line, 24)
      entry.writeUInt16LE(priority, 28)
      return entry
    })
    const head = Buffer.alloc(24)
    head.writeBigUInt64LE(empty, 0)
    head.writeUInt8(children.length, 8)
    head.writeBigUInt64LE(BigInt(values.length), 16)
    return add(Buffer.concat([head, ...children, ...values]))
  }
  const rootOffset = write(root)
  const file = Buffer.concat(parts)
  file.write('KSLPHHRH', 'latin1')
  const header = [262, file.length, 80, 24, 16, 32, rootOffset, file.length - 80, 0]
  for (const [index, value] of header.entries()) file.writeBigUInt64LE(BigInt(value), 8 + 8 * index)
  return file
}
