import { describe, expect, it } from 'vitest'
import {
  type EfiVariableChange,
  parseEfiVariableStore,
  withEfiVariable,
  withoutEfiVariable,
} from './efi-variable-store.ts'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { parseGuid } from './guid.ts'

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const VENDOR = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'
const HEADER = 0x48
const STORE = 0x1000
/** What follows the store: work space and spare area, which nobody may touch. */
const REST = garbage(1, 0x800)

/** An empty volume, put together by hand after the Platform Initialization specification. */
function emptyVolume(): Uint8Array {
  const bytes = new Uint8Array(HEADER + STORE + REST.byteLength)
  const view = new DataView(bytes.buffer)
  bytes.set(parseGuid('fff12b8d-7696-4c8b-a985-2747075b4f50'), 16)
  view.setBigUint64(32, BigInt(bytes.byteLength), true)
  bytes.set(Buffer.from('_FVH'), 40)
  view.setUint32(44, 0x0004feff, true)
  view.setUint16(48, HEADER, true)
  bytes[55] = 2
  view.setUint32(56, 2, true)
  view.setUint32(60, 0x1000, true)
  let sum = 0
  for (let offset = 0; offset < HEADER; offset += 2) sum += view.getUint16(offset, true)
  view.setUint16(50, -sum & 0xffff, true)
  bytes.fill(0xff, HEADER, HEADER + STORE)
  bytes.set(parseGuid('aaf32c78-947b-439a-a180-2e144ec37792'), HEADER)
  view.setUint32(HEADER + 16, STORE, true)
  bytes.set([0x5a, 0xfe, 0, 0, 0, 0, 0, 0], HEADER + 20)
  bytes.set(REST, HEADER + STORE)
  return bytes
}

function variable(name: string, data: string, changes: Partial<EfiVariableChange> = {}): EfiVariableChange {
  return { name, vendorGuid: GLOBAL, attributes: 7, data: Buffer.from(data), ...changes }
}

/** Names and data, as text. */
function content(bytes: Uint8Array): string[] {
  return parseEfiVariableStore(bytes).variables.map(
    ({ name, data }) => `${name}=${Buffer.from(data).toString('latin1')}`,
  )
}

const FIRST_ENTRY = HEADER + 28

describe('parseEfiVariableStore()', () => {
  it('reads an empty store', () => {
    expect(parseEfiVariableStore(emptyVolume())).toEqual({
      variables: [],
      offset: HEADER,
      size: STORE,
      usedBytes: 28,
      deletedCount: 0,
    })
  })

  it('reads an entry field by field', () => {
    const bytes = emptyVolume()
    // biome-ignore format: one field a line
    bytes.set([
      0xaa, 0x55,
      0x3f, 0,
      0x27, 0, 0, 0,
      1, 0, 0, 0, 0, 0, 0, 0,
      0xea, 0x07, 11, 23, 2, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      5, 0, 0, 0,
      6, 0, 0, 0,
      3, 0, 0, 0,
      ...parseGuid(VENDOR),
      0x50, 0, 0x4b, 0, 0, 0,
      1, 2, 3,
    ], FIRST_ENTRY)
    expect(parseEfiVariableStore(bytes).variables).toEqual([
      {
        name: 'PK',
        vendorGuid: VENDOR,
        attributes: 0x27,
        data: Uint8Array.of(1, 2, 3),
        monotonicCount: 1n,
        timestamp: Uint8Array.of(0xea, 0x07, 11, 23, 2, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        publicKeyIndex: 5,
      },
    ])
  })

  it.for([
    [0x3f, ['a=old', 'b=1'], 0],
    [0x3e, ['a=old', 'b=1'], 0],
    [0x3d, ['b=1'], 1],
    [0x3c, ['b=1'], 1],
    [0x7f, ['b=1'], 1],
  ] as const)('knows what the state 0x%x means', ([state, left, deletedCount]) => {
    const bytes = withEfiVariable(withEfiVariable(emptyVolume(), variable('a', 'old')), variable('b', '1'))
    bytes[FIRST_ENTRY + 2] = state
    expect(content(bytes)).toEqual(left)
    expect(parseEfiVariableStore(bytes).deletedCount).toBe(deletedCount)
  })

  it('takes the new one of two when the old one was about to be deleted', () => {
    const bytes = withEfiVariable(withEfiVariable(emptyVolume(), variable('a', 'old')), variable('b', 'new'))
    bytes[FIRST_ENTRY + 2] = 0x3e
    // The second entry becomes one of the same name.
    bytes[FIRST_ENTRY + 60 + 4 + 3 + 1 + 60] = 'a'.charCodeAt(0)
    expect(content(bytes)).toEqual(['a=new'])
  })

  it('passes over an entry whose header was cut off by a power failure', () => {
    const bytes = withEfiVariable(emptyVolume(), variable('a', '1'))
    const next = parseEfiVariableStore(bytes).usedBytes + HEADER
    bytes.set([0xaa, 0x55, 0xff, 0], next)
    expect(content(bytes)).toEqual(['a=1'])
  })

  it.for([
    ['FileSystemGuid', 16],
    ['Signature', 40],
    ['HeaderLength', 49],
    ['Checksum', 50],
    ['store Signature', HEADER],
    ['store Size', HEADER + 18],
    ['store State', HEADER + 21],
    ['StartId', FIRST_ENTRY],
    ['Name', FIRST_ENTRY + 38],
    ['Data', FIRST_ENTRY + 42],
  ] as const)('names %s when that is wrong', ([field, offset]) => {
    const bytes = withEfiVariable(emptyVolume(), variable('a', '1'))
    bytes[offset] = (bytes[offset] ?? 0) ^ 0x5a
    expect(() => parseEfiVariableStore(bytes)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    expect(() => parseEfiVariableStore(bytes)).toThrow(new RegExp(`${field} at offset \\d+`))
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    const bytes = withEfiVariable(withEfiVariable(emptyVolume(), variable('a', 'x'.repeat(99))), variable('b', '1'))
    const outcomes = { result: 0, malformed: 0 }
    for (let seed = 0; seed < 500; seed++) {
      outcomes[expectResultOrMalformed(() => parseEfiVariableStore(damagedStore(bytes, seed)))]++
      outcomes[expectResultOrMalformed(() => withEfiVariable(damagedStore(bytes, seed), variable('c', '2')))]++
      expectResultOrMalformed(() => parseEfiVariableStore(garbage(seed, seed * 3)))
      expectResultOrMalformed(() => parseEfiVariableStore(damaged(bytes, seed)))
    }
    for (let length = 0; length < bytes.byteLength; length += 97) {
      expectResultOrMalformed(() => parseEfiVariableStore(bytes.subarray(0, length)))
    }
    expect(outcomes.result).toBeGreaterThan(50)
    expect(outcomes.malformed).toBeGreaterThan(50)
  })
})

/** Damage where the entries are: that to the headers is found at once. */
function damagedStore(bytes: Uint8Array, seed: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const noise = garbage(seed, 4)
  for (let index = 0; index < 4; index += 2) copy[FIRST_ENTRY + ((noise[index] ?? 0) % 240)] = noise[index + 1] ?? 0
  return copy
}

describe('withEfiVariable()', () => {
  it('adds, replaces where it stands, and leaves all else alone', () => {
    const before = withEfiVariable(withEfiVariable(emptyVolume(), variable('a', '1')), variable('b', '2'))
    const after = withEfiVariable(before, variable('a', 'longer than before'))
    expect(content(after)).toEqual(['a=longer than before', 'b=2'])
    expect(Buffer.from(after.subarray(0, FIRST_ENTRY)).equals(before.subarray(0, FIRST_ENTRY))).toBe(true)
    expect(Buffer.from(after.subarray(HEADER + STORE)).equals(REST)).toBe(true)
    expect(content(before)).toEqual(['a=1', 'b=2'])
  })

  it('takes variables of one name and two vendors for two', () => {
    const one = withEfiVariable(emptyVolume(), variable('a', '1'))
    const two = withEfiVariable(one, variable('a', '2', { vendorGuid: VENDOR }))
    expect(content(two)).toEqual(['a=1', 'a=2'])
    expect(content(withEfiVariable(two, variable('a', '3', { vendorGuid: VENDOR.toUpperCase() })))).toEqual([
      'a=1',
      'a=3',
    ])
    expect(content(withoutEfiVariable(two, { name: 'a', vendorGuid: GLOBAL }))).toEqual(['a=2'])
  })

  it('keeps what a change does not speak of', () => {
    const timestamp = Uint8Array.from({ length: 16 }, (_, index) => index)
    const made = withEfiVariable(
      emptyVolume(),
      variable('db', '1', { timestamp, monotonicCount: 9n, publicKeyIndex: 3 }),
    )
    const [found] = parseEfiVariableStore(withEfiVariable(made, variable('db', '2'))).variables
    expect(found).toMatchObject({ timestamp, monotonicCount: 9n, publicKeyIndex: 3 })
  })

  it('makes room of deleted ones, and says when there is none', () => {
    let bytes = emptyVolume()
    for (let round = 0; round < 20; round++) bytes = withEfiVariable(bytes, variable('big', `${round}`.repeat(1500)))
    expect(content(bytes)).toHaveLength(1)
    expect(() => withEfiVariable(bytes, variable('too big', 'x'.repeat(STORE)))).toThrow(/too big at offset \d+: needs/)
  })

  it('refuses what is no variable', () => {
    expect(() => withEfiVariable(emptyVolume(), variable('', '1'))).toThrow(/no name/)
    expect(() => withEfiVariable(emptyVolume(), variable('a\0b', '1'))).toThrow(/no name/)
    expect(() => withEfiVariable(emptyVolume(), variable('a', ''))).toThrow(/no data/)
    expect(() => withEfiVariable(emptyVolume(), variable('a', '1', { vendorGuid: 'none' }))).toThrow(/GUID/)
  })
})
