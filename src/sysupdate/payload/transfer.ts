import { createHash } from 'node:crypto'
import { asHostError, BootwrightError } from '../../system/index.ts'
import { blocksOf } from './blocks.ts'
import { type Compression, decompress } from './compression.ts'
import type { Sink } from './sink.ts'

export interface TransferOptions {
  readonly signal?: AbortSignal | undefined
  /** What the bytes must hash to as they are sent, in lower-case hex; without, nothing is promised about them. */
  readonly sha256?: string | undefined
  /** How many bytes it must be when decompressed, where that is known. */
  readonly size?: number | undefined
  /** Told how many bytes have come so far. */
  readonly onProgress?: (receivedBytes: number) => void
  readonly callsLibraries?: boolean | undefined
}

export interface Transferred {
  readonly compression: Compression
  readonly receivedBytes: number
  readonly writtenBytes: number
  /** Of the bytes as they were sent. */
  readonly sha256: string
}

/**
 * Takes a payload from its source to its place: hashes, decompresses and writes at once, with a few blocks in memory.
 *
 * When it resolves, the bytes are on the disk and hash to what they should. Rejects with `UPDATE_UNTRUSTED` when they do
 * not, which goes before any complaint about their content; with `NO_SPACE` when there are more than fit, and with what
 * the source, the disk and the decompressor say. What was written until then is of no use to anybody.
 */
export async function transfer(
  source: AsyncIterable<Buffer>,
  sink: Sink,
  options: TransferOptions = {},
): Promise<Transferred> {
  const hash = createHash('sha256')
  let received = 0
  let writing: Promise<void> | undefined
  let written = 0
  const iterator = source[Symbol.asyncIterator]()
  async function* hashed(): AsyncGenerator<Buffer, void, void> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      options.signal?.throwIfAborted()
      hash.update(next.value)
      received += next.value.byteLength
      options.onProgress?.(received)
      yield next.value
    }
  }
  try {
    const { compression, bytes } = await decompress(hashed(), options)
    try {
      for await (const block of blocksOf(bytes)) {
        if (written + block.byteLength > sink.maxBytes) throw tooLarge(sink, compression)
        // The one before is written while this one is decompressed.
        await writing
        writing = sink.write(block, written)
        writing.catch(() => undefined)
        written += block.byteLength
      }
      await writing
    } catch (error) {
      if (!(error instanceof BootwrightError) || error.code !== 'MALFORMED_INPUT') throw error
      await drain(hashed())
      checkHash(hash.digest('hex'), options.sha256, sink.name, error)
      throw error
    }
    // A decompressor may end before its input does.
    await drain(hashed())
    const sha256 = hash.digest('hex')
    checkHash(sha256, options.sha256, sink.name)
    if (options.size !== undefined && written !== options.size) {
      throw new BootwrightError(
        'UPDATE_UNTRUSTED',
        `What was downloaded for ${sink.name} has ${written} bytes, but its name promises ${options.size}`,
        { hint: 'Make the release again.' },
      )
    }
    await sink.finish(written)
    return { compression, receivedBytes: received, writtenBytes: written, sha256 }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw asHostError(error, `Cannot write ${sink.name}`)
  } finally {
    // Nothing is written any more to what may be somebody else's from here on.
    await writing?.catch(() => undefined)
    await iterator.return?.()
  }
}

async function drain(source: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of source);
}

function checkHash(found: string, expected: string | undefined, name: string, cause?: unknown): void {
  if (expected === undefined || found === expected) return
  throw new BootwrightError(
    'UPDATE_UNTRUSTED',
    `What was downloaded for ${name} has the SHA-256 ${found}, but the manifest says ${expected}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: 'It was changed on the way, or while the release was being published: try again later.',
    },
  )
}

function tooLarge(sink: Sink, compression: Compression): BootwrightError {
  const how = compression === 'none' ? '' : ` once it is decompressed (${compression})`
  return new BootwrightError('NO_SPACE', `What was downloaded does not fit in ${sink.name}${how}`, {
    hint: `There is room for ${sink.maxBytes} bytes: release something smaller, or make the target larger.`,
  })
}
