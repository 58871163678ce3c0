import { malformed } from './malformed.ts'

/** `KSLPHHRH`, as the file begins. */
const SIGNATURE = Buffer.from('KSLPHHRH')
const HEADER_BYTES = 80
/** Sizes of entries that have the file and line that they come from; older ones have not. */
const VALUE_BYTES_WITH_LINES = 32
const MAX_STRING_BYTES = 64 * 1024
const MAX_DEPTH = 1024
/** More is in no database by far: what it costs to look into one is bounded by it. */
const MAX_NODES = 4_000_000

interface Entry {
  readonly value: string
  readonly priority: number
  readonly line: number
}

/**
 * Properties that a hardware database gives a device: `hwdb.bin`, as systemd-hwdb(8) makes it of `hwdb.d`. Where several entries match and
 * give the same property, the one of the later file holds, within a file the later line.
 *
 * @param modalias what the entries' patterns are held against
 */
export function lookUpHwdb(database: Uint8Array, modalias: string): Map<string, string> {
  const hwdb = new Hwdb(database)
  return hwdb.lookUp(modalias)
}

class Hwdb {
  readonly #bytes: Buffer
  readonly #root: number
  readonly #nodeBytes: number
  readonly #childBytes: number
  readonly #valueBytes: number
  readonly #found = new Map<string, Entry>()
  #visited = 0

  constructor(database: Uint8Array) {
    this.#bytes = Buffer.from(database.buffer, database.byteOffset, database.byteLength)
    if (!this.#bytes.subarray(0, 8).equals(SIGNATURE)) this.#refuse('signature', 0, 'is not KSLPHHRH')
    if (this.#bytes.length < HEADER_BYTES)
      this.#refuse('header', 0, `has ${this.#bytes.length} bytes, expected ${HEADER_BYTES}`)
    this.#nodeBytes = this.#size('node_size', 32, 24)
    this.#childBytes = this.#size('child_entry_size', 40, 16)
    this.#valueBytes = this.#size('value_entry_size', 48, 16)
    this.#root = this.#offset(56, 'nodes_root_off')
  }

  lookUp(modalias: string): Map<string, string> {
    this.#walk(this.#root, '', modalias, 0)
    return new Map([...this.#found].map(([key, { value }]) => [key, value]))
  }

  /** @param pattern the pattern from its first wildcard on; empty while everything is literal */
  #walk(node: number, pattern: string, rest: string, depth: number): void {
    if (++this.#visited > MAX_NODES || depth > MAX_DEPTH)
      this.#refuse('node', node, 'is one of too many, or its own descendant')
    this.#need(node, this.#nodeBytes, 'node')
    const prefix = this.#string(this.#number(node, 'prefix_off'), 'prefix')
    const [next, left] = consume(pattern, rest, prefix)
    if (left === undefined) return
    const children = this.#bytes.readUInt8(node + 8)
    const values = this.#number(node + 16, 'values_count')
    const firstValue = node + this.#nodeBytes + children * this.#childBytes
    this.#need(firstValue, values * this.#valueBytes, 'values')
    if (values > 0 && (next === '' ? left === '' : matches(next, left))) {
      for (let index = 0; index < values; index++) this.#keep(firstValue + index * this.#valueBytes)
    }
    for (let index = 0; index < children; index++) {
      const at = node + this.#nodeBytes + index * this.#childBytes
      const character = String.fromCharCode(this.#bytes.readUInt8(at))
      const [nextPattern, nextLeft] = consume(next, left, character)
      if (nextLeft !== undefined) this.#walk(this.#offset(at + 8, 'child_off'), nextPattern, nextLeft, depth + 1)
    }
  }

  #keep(at: number): void {
    const key = this.#string(this.#number(at, 'key_off'), 'key')
    // What does not begin with a blank is no property.
    if (!key.startsWith(' ')) return
    const value = this.#string(this.#number(at + 8, 'value_off'), 'value')
    const hasLine = this.#valueBytes >= VALUE_BYTES_WITH_LINES
    const line = hasLine ? this.#bytes.readUInt32LE(at + 24) : 0
    const priority = hasLine ? this.#bytes.readUInt16LE(at + 28) : 0
    const known = this.#found.get(key.slice(1))
    const isLater =
      known === undefined || priority > known.priority || (priority === known.priority && line >= known.line)
    if (isLater) this.#found.set(key.slice(1), { value, priority, line })
  }

  #string(offset: number, field: string): string {
    this.#need(offset, 1, field)
    const end = this.#bytes.indexOf(0, offset)
    if (end < 0 || end - offset > MAX_STRING_BYTES) this.#refuse(field, offset, 'does not end')
    return this.#bytes.toString('latin1', offset, end)
  }

  #size(field: string, at: number, least: number): number {
    const size = this.#number(at, field)
    if (size < least || size > 4096) this.#refuse(field, at, `is ${size}, expected at least ${least}`)
    return size
  }

  #offset(at: number, field: string): number {
    const offset = this.#number(at, field)
    this.#need(offset, this.#nodeBytes, field)
    return offset
  }

  #number(at: number, field: string): number {
    const value = this.#bytes.readBigUInt64LE(at)
    if (value > BigInt(this.#bytes.length))
      this.#refuse(field, at, `is ${value}, and the file has ${this.#bytes.length} bytes`)
    return Number(value)
  }

  #need(offset: number, bytes: number, field: string): void {
    if (offset + bytes > this.#bytes.length) this.#refuse(field, offset, 'lies behind the end of the file')
  }

  #refuse(field: string, offset: number, problem: string): never {
    throw malformed({ what: 'hwdb.bin', field, offset }, problem, { hint: 'Make it anew: systemd-hwdb update.' })
  }
}

/**
 * Goes on by some characters of the tree: literal ones are taken off the text, which is undefined when they are not there; from the
 * first wildcard on they are gathered.
 */
function consume(pattern: string, rest: string, characters: string): [pattern: string, rest: string | undefined] {
  if (pattern !== '') return [pattern + characters, rest]
  const wild = characters.search(/[*?[\\]/)
  const literal = wild < 0 ? characters : characters.slice(0, wild)
  if (!rest.startsWith(literal)) return ['', undefined]
  return [wild < 0 ? '' : characters.slice(wild), rest.slice(literal.length)]
}

/** As fnmatch(3) without flags: `*` is anything, slashes too. */
function matches(pattern: string, text: string): boolean {
  let [p, t] = [0, 0]
  let star: { readonly p: number; t: number } | undefined
  while (t < text.length || p < pattern.length) {
    if (pattern[p] === '*') {
      star = { p: p + 1, t }
      p++
      continue
    }
    const next = t < text.length ? matchOne(pattern, p, text[t] ?? '') : undefined
    if (next !== undefined) {
      p = next
      t++
    } else if (star !== undefined && star.t < text.length) {
      star.t++
      p = star.p
      t = star.t
    } else return false
  }
  return true
}

/** Where the pattern goes on behind one character of the text; undefined when they differ. */
function matchOne(pattern: string, at: number, character: string): number | undefined {
  const found = pattern[at]
  if (found === undefined) return undefined
  if (found === '?') return at + 1
  if (found === '\\' && at + 1 < pattern.length) return pattern[at + 1] === character ? at + 2 : undefined
  if (found === '[') {
    const end = pattern.indexOf(']', at + 2 + Number(/[!^]/.test(pattern[at + 1] ?? '')))
    if (end > 0) return isInSet(pattern.slice(at + 1, end), character) ? end + 1 : undefined
  }
  return found === character ? at + 1 : undefined
}

function isInSet(set: string, character: string): boolean {
  const isNot = /^[!^]/.test(set)
  const members = isNot ? set.slice(1) : set
  let isIn = false
  for (let at = 0; at < members.length; at++) {
    const [from = '', dash, to] = [members[at], members[at + 1], members[at + 2]]
    const isRange = dash === '-' && to !== undefined
    isIn ||= isRange ? character >= from && character <= to : character === from
    if (isRange) at += 2
  }
  return isIn !== isNot
}
