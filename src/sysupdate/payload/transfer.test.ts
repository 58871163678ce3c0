import { createHash } from 'node:crypto'
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../formats/index.ts'
import { runUnchecked } from '../../system/index.ts'
import { blocksOf } from './blocks.ts'
import { dataRuns, partitionSink, sparseFileSink } from './sink.ts'
import { transfer } from './transfer.ts'

const MIB = 1024 * 1024
const PAGE = 4096

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-transfer-'))
})

afterAll(() => rm(directory, { recursive: true }))

/** Data, a hole, data that ends inside of a page. */
function image(): Buffer {
  const random = seededRandom(7)
  const bytes = Buffer.alloc(5 * MIB + 123)
  for (let at = 0; at < MIB; at += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  bytes.fill('text that packs well ', 4 * MIB + 100)
  return bytes
}

const IMAGE = image()
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function packed(program: string, bytes: Buffer): Promise<Buffer> {
  const { spawn } = await import('node:child_process')
  const child = spawn(program, ['-c'], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(bytes)
  const chunks: Buffer[] = []
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const FORMATS: Record<string, (bytes: Buffer) => Promise<Buffer> | Buffer> = {
  none: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  // As zstd(1) does, which Node leaves out: else a byte of text may be another one.
  zstd: (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  xz: (bytes) => packed('xz', bytes),
  bzip2: (bytes) => packed('bzip2', bytes),
  lz4: (bytes) => packed('lz4', bytes),
}

/** Each format, and those that a library decompresses without it, too. */
const WAYS: readonly (readonly [format: string, callsLibraries: boolean])[] = [
  ...Object.keys(FORMATS).map((format) => [format, true] as const),
  ...['zstd', 'xz'].map((format) => [format, false] as const),
]

/** In pieces that end in the middle of everything. */
async function* pieces(bytes: Buffer, size = 65_521): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < bytes.byteLength; at += size) yield Buffer.from(bytes.subarray(at, at + size))
}

async function toFile(
  bytes: Buffer,
  options: Parameters<typeof transfer>[2] & { maxBytes?: number; piece?: number } = {},
) {
  const path = join(directory, 'file')
  await using file = await open(path, 'w+')
  const sink = sparseFileSink(file, { maxBytes: options.maxBytes ?? 64 * MIB, name: 'os_2.raw' })
  return { ...(await transfer(pieces(bytes, options.piece), sink, options)), path }
}

describe('transfer()', () => {
  it.for(WAYS)('decompresses by content, hashes what came, leaves holes: %s (library: %s)', async (way) => {
    const [format, callsLibraries] = way
    const sent = await FORMATS[format]?.(IMAGE)
    if (sent === undefined) throw new Error(`No ${format}`)
    const result = await toFile(sent, { sha256: sha256(sent), size: IMAGE.byteLength, callsLibraries })
    expect(result).toMatchObject({
      compression: format,
      receivedBytes: sent.byteLength,
      writtenBytes: IMAGE.byteLength,
      sha256: sha256(sent),
    })
    expect((await readFile(result.path)).equals(IMAGE)).toBe(true)
    const { blocks } = await stat(result.path)
    expect(blocks * 512).toBeLessThan(3 * MIB)
  })

  it('takes several frames one after the other for one file', async () => {
    for (const pack of [gzipSync, zstdCompressSync, (bytes: Buffer) => packed('xz', bytes)]) {
      const halves = await Promise.all([IMAGE.subarray(0, MIB), IMAGE.subarray(MIB)].map((half) => pack(half)))
      for (const callsLibraries of [true, false]) {
        const result = await toFile(Buffer.concat(halves), { callsLibraries })
        expect((await readFile(result.path)).equals(IMAGE)).toBe(true)
      }
    }
  })

  it.for<[string, Buffer]>([
    ['no byte', Buffer.alloc(0)],
    ['two bytes', Buffer.from('v2')],
    ['the first bytes of a magic number', Buffer.from('fd377a585a', 'hex')],
    ['a page of zeros', Buffer.alloc(PAGE)],
    ['zeros to the end', Buffer.concat([Buffer.from('x'), Buffer.alloc(3 * PAGE)])],
  ])('takes %s as it is', async ([, bytes]) => {
    const result = await toFile(bytes, { sha256: sha256(bytes), piece: 1 })
    expect((await readFile(result.path)).equals(bytes)).toBe(true)
  })

  it.for(Object.keys(FORMATS))('tells a wrong hash before all else: %s', async (format) => {
    const sent = Buffer.from((await FORMATS[format]?.(IMAGE)) ?? [])
    const expected = sha256(sent)
    const middle = sent.byteLength >> 1
    sent[middle] = (sent[middle] ?? 0) ^ 0xff
    await expect(toFile(sent, { sha256: expected })).rejects.toMatchObject({
      code: 'UPDATE_UNTRUSTED',
      message: expect.stringContaining(`the manifest says ${expected}`),
    })
  })

  it.for(WAYS.filter(([format]) => format !== 'none'))(
    'says what is wrong with a damaged %s that was signed so (library: %s)',
    async ([format, callsLibraries]) => {
      const whole = (await FORMATS[format]?.(IMAGE)) ?? Buffer.alloc(0)
      const cut = Buffer.from(whole.subarray(0, whole.byteLength - 20))
      const changed = Buffer.from(whole)
      for (let at = whole.byteLength >> 1; at < (whole.byteLength >> 1) + 64; at++) changed[at] = 0x5a
      for (const wrong of [cut, changed]) {
        await expect(toFile(wrong, { sha256: sha256(wrong), callsLibraries })).rejects.toMatchObject({
          code: 'MALFORMED_INPUT',
          message: expect.stringContaining(`Cannot decompress ${format}`),
        })
      }
    },
  )

  it.for(['none', 'gzip', 'zstd', 'xz'])('stops a bomb at the size of its target: %s', async (format) => {
    const zeros = Buffer.alloc(32 * MIB)
    const sent = (await FORMATS[format]?.(zeros)) ?? zeros
    const options = { sha256: sha256(sent), maxBytes: 2 * MIB }
    await expect(toFile(sent, options)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringContaining('does not fit in os_2.raw'),
    })
    expect((await stat(join(directory, 'file'))).size).toBeLessThanOrEqual(2 * MIB)
  })

  it('holds the size against what the name promises', async () => {
    await expect(toFile(IMAGE, { size: IMAGE.byteLength - 1 })).rejects.toMatchObject({ code: 'UPDATE_UNTRUSTED' })
  })

  it('writes a partition with its zeros, and nothing beside it', async () => {
    const path = join(directory, 'disk')
    await using disk = await open(path, 'w+')
    await disk.write(Buffer.alloc(8 * MIB, 0xee))
    await using sink = await partitionSink(disk, { offset: MIB, size: 6 * MIB, name: 'slot' })
    await transfer(pieces(IMAGE), sink)
    const after = await readFile(path)
    expect(after.subarray(0, MIB).equals(Buffer.alloc(MIB, 0xee))).toBe(true)
    expect(after.subarray(MIB, MIB + IMAGE.byteLength).equals(IMAGE)).toBe(true)
    expect(after.subarray(MIB + IMAGE.byteLength).equals(Buffer.alloc(2 * MIB - 123, 0xee))).toBe(true)
    await using small = await partitionSink(disk, { offset: MIB, size: 5 * MIB, name: 'slot' })
    await expect(transfer(pieces(IMAGE), small)).rejects.toMatchObject({ code: 'NO_SPACE' })
  })

  it('says that the disk is full', async () => {
    await using full = await open('/dev/full', 'w')
    const sink = { ...sparseFileSink(full, { maxBytes: 64 * MIB, name: 'os_2.raw' }) }
    await expect(transfer(pieces(IMAGE), sink)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: 'Cannot write os_2.raw: no space is left',
    })
  })

  it('passes on what the source says, whatever the format', async () => {
    for (const format of ['none', 'gzip', 'zstd', 'xz']) {
      const sent = (await FORMATS[format]?.(IMAGE)) ?? IMAGE
      const reason = new Error('the line is cut')
      async function* broken(): AsyncGenerator<Buffer, void, void> {
        yield* pieces(sent.subarray(0, sent.byteLength >> 1))
        throw reason
      }
      await using file = await open(join(directory, 'file'), 'w+')
      const sink = sparseFileSink(file, { maxBytes: 64 * MIB, name: 'x' })
      await expect(transfer(broken(), sink)).rejects.toBe(reason)
    }
  })

  it('ends at its signal, and leaves no program behind', async () => {
    const sent = await packed('xz', IMAGE)
    const controller = new AbortController()
    const reason = new Error('enough')
    async function* endless(): AsyncGenerator<Buffer, void, void> {
      yield* pieces(sent.subarray(0, 100_000))
      setTimeout(() => controller.abort(reason), 50)
      await new Promise((resolve) => setTimeout(resolve, 200))
      yield* pieces(sent.subarray(100_000))
    }
    await using file = await open(join(directory, 'file'), 'w+')
    const sink = sparseFileSink(file, { maxBytes: 64 * MIB, name: 'x' })
    await expect(transfer(endless(), sink, { signal: controller.signal })).rejects.toBe(reason)
    expect((await runUnchecked({ argv: ['pgrep', '-P', String(process.pid), '-x', 'xz'] })).stdout).toBe('')
  })
})

it('dataRuns() finds pages that are not all zeros', () => {
  const block = Buffer.alloc(4 * PAGE + 10)
  expect([...dataRuns(block)]).toEqual([])
  block[PAGE + 5] = 1
  block[4 * PAGE + 9] = 1
  expect([...dataRuns(block)]).toEqual([
    { start: PAGE, end: 2 * PAGE },
    { start: 4 * PAGE, end: 4 * PAGE + 10 },
  ])
})

it('blocksOf() gathers any pieces into blocks', async () => {
  const bytes = Buffer.from('abcdefghijklmnopqrstuvwxyz')
  for (const size of [1, 3, 4, 5, 8, 26]) {
    const blocks: string[] = []
    for await (const block of blocksOf(pieces(bytes, size), 4)) blocks.push(block.toString())
    expect(blocks).toEqual(['abcd', 'efgh', 'ijkl', 'mnop', 'qrst', 'uvwx', 'yz'])
  }
})
