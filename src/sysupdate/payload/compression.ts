import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { BootwrightError } from '../../system/index.ts'
import { alignedBuffer, BLOCK_BYTES } from './blocks.ts'
import { type LibraryDecoder, openLibraryDecoder } from './library-decoder.ts'
import { throughProgram } from './program-filter.ts'

export type Compression = 'none' | 'gzip' | 'xz' | 'zstd' | 'lz4' | 'bzip2'

/** What the bytes begin with; the name of a file tells nothing. */
const MAGIC: readonly (readonly [Compression, Buffer])[] = [
  ['gzip', Buffer.from('1f8b', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['lz4', Buffer.from('04224d18', 'hex')],
  ['bzip2', Buffer.from('BZh')],
]
export const LONGEST_MAGIC = 6

/** Where the system's own library is not there, or not called: the programs that belong to it. */
const PROGRAMS = {
  xz: ['xz', '--decompress', '--stdout', '--quiet', '--memlimit-decompress=256MiB'],
  lz4: ['lz4', '-d', '-c', '-q'],
  bzip2: ['bzip2', '--decompress', '--stdout', '--quiet'],
} as const

const CHUNK_BYTES = 1024 * 1024

export interface Decompressed {
  readonly compression: Compression
  /** A piece is good until the next but one is asked for. Rejects with `MALFORMED_INPUT` when the bytes are damaged or end early, with `TOOL_MISSING` without the program. */
  readonly bytes: AsyncIterable<Buffer>
}

export interface DecompressOptions {
  readonly signal?: AbortSignal | undefined
  /** Whether the system's libraries are called, where they are there: they need the least. Yes without. */
  readonly callsLibraries?: boolean | undefined
}

/**
 * Decompresses by content, as a stream. What is shorter than a magic number, or has none, passes as it is. A piece of the input has
 * to be good until the next but one is asked for.
 */
export async function decompress(input: AsyncIterable<Buffer>, options: DecompressOptions = {}): Promise<Decompressed> {
  const { head, whole } = await peek(input, LONGEST_MAGIC)
  const compression = detectCompression(head)
  if ((compression === 'zstd' || compression === 'xz') && options.callsLibraries !== false) {
    const decoder = openLibraryDecoder(compression)
    if (decoder !== undefined) return { compression, bytes: throughLibrary(whole, decoder, compression) }
  }
  switch (compression) {
    case 'none':
      return { compression, bytes: whole }
    case 'gzip':
      return {
        compression,
        bytes: throughTransform(copied(whole), createGunzip({ chunkSize: CHUNK_BYTES }), compression),
      }
    case 'zstd':
      return {
        compression,
        bytes: throughTransform(copied(whole), createZstdDecompress({ chunkSize: CHUNK_BYTES }), compression),
      }
    default:
      return { compression, bytes: throughProgram(PROGRAMS[compression], copied(whole), options.signal) }
  }
}

/** How something is compressed, by its first bytes. */
export function detectCompression(head: Buffer): Compression {
  return MAGIC.find(([, magic]) => head.subarray(0, magic.byteLength).equals(magic))?.[0] ?? 'none'
}

async function peek(
  input: AsyncIterable<Buffer>,
  length: number,
): Promise<{ head: Buffer; whole: AsyncGenerator<Buffer, void, void> }> {
  const iterator = input[Symbol.asyncIterator]()
  const first: Buffer[] = []
  let known = 0
  let isOver = false
  while (known < length && !isOver) {
    const next = await iterator.next()
    if (next.done === true) isOver = true
    else {
      known += next.value.byteLength
      // More are asked for while it waits.
      first.push(known < length ? Buffer.from(next.value) : next.value)
    }
  }
  async function* whole(): AsyncGenerator<Buffer, void, void> {
    try {
      yield* first
      while (!isOver) {
        const next = await iterator.next()
        if (next.done === true) isOver = true
        else yield next.value
      }
    } finally {
      await iterator.return?.()
    }
  }
  return { head: Buffer.concat(first), whole: whole() }
}

/** For those who have several pieces at once. */
async function* copied(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  for await (const piece of pieces) yield Buffer.from(piece)
}

/** In whole blocks, of which two take turns: one is written while the other one is filled. */
async function* throughLibrary(
  input: AsyncIterable<Buffer>,
  decoder: LibraryDecoder,
  compression: Compression,
): AsyncGenerator<Buffer, void, void> {
  using _ = decoder
  const blocks = [alignedBuffer(BLOCK_BYTES), alignedBuffer(BLOCK_BYTES)] as const
  let [block, end]: [Buffer, number] = [blocks[0], 0]
  const decode = (step: LibraryDecoder['decode']): boolean => {
    try {
      end = step(block, end)
    } catch (cause) {
      throw damaged(compression, (cause as Error).message, cause)
    }
    return end === BLOCK_BYTES
  }
  const turn = (): Buffer => {
    const full = block
    block = block === blocks[0] ? blocks[1] : blocks[0]
    end = 0
    return full
  }
  for await (const chunk of input) {
    decoder.feed(chunk)
    while (decode(decoder.decode)) yield turn()
  }
  while (decode(decoder.finish)) yield turn()
  if (end > 0) yield block.subarray(0, end)
}

async function* throughTransform(
  input: AsyncIterable<Buffer>,
  transform: ReturnType<typeof createGunzip | typeof createZstdDecompress>,
  compression: Compression,
): AsyncGenerator<Buffer, void, void> {
  // Errors of the input must not be taken for errors of what it contains.
  let inputError: { error: unknown } | undefined
  const source = Readable.from(
    (async function* () {
      try {
        yield* input
      } catch (error) {
        inputError = { error }
        throw error
      }
    })(),
    { objectMode: false, highWaterMark: CHUNK_BYTES },
  )
  source.on('error', (error) => transform.destroy(error))
  source.pipe(transform)
  try {
    yield* transform as AsyncIterable<Buffer>
  } catch (cause) {
    if (inputError !== undefined) throw inputError.error
    throw damaged(compression, (cause as Error).message, cause)
  } finally {
    source.destroy()
    transform.destroy()
  }
}

export function damaged(compression: string, problem: string, cause?: unknown): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `Cannot decompress ${compression}: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'What is served is damaged, or was made by a program of another kind: make the release again.',
    detail: { compression },
  })
}
