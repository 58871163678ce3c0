import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { alignedBuffer } from './blocks.ts'
import type { Download, DownloadOptions } from './download.ts'
import { downloadError } from './download-error.ts'

const CHUNK_BYTES = 1024 * 1024

/** A `file:/` address, as a download. */
export async function openLocalFile(url: string, options: DownloadOptions): Promise<Download> {
  return openPlainFile(localPath(url), url, options)
}

/** A regular file, as a download. */
export async function openPlainFile(path: string, name: string, options: DownloadOptions): Promise<Download> {
  // A pipe or a terminal would wait for somebody at the other end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY).catch(
    (cause: NodeJS.ErrnoException) => {
      const isMissing = cause.code === 'ENOENT' || cause.code === 'ENOTDIR'
      throw downloadError(
        isMissing ? 'not-found' : 'broken',
        name,
        isMissing ? 'there is no such file' : cause.message,
        {
          cause,
        },
      )
    },
  )
  const stat = await file.stat()
  const problem = stat.isFile()
    ? stat.size > options.maxBytes
      ? `expected at most ${options.maxBytes} bytes, found ${stat.size}`
      : undefined
    : 'it is no regular file'
  if (problem !== undefined) {
    await file.close()
    throw downloadError(stat.isFile() ? 'too-large' : 'address', name, problem)
  }
  async function* body(): AsyncGenerator<Buffer, void, void> {
    try {
      for (let position = 0; position < stat.size; ) {
        options.signal?.throwIfAborted()
        const chunk = alignedBuffer(Math.min(CHUNK_BYTES, stat.size - position))
        const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, position)
        if (bytesRead === 0) {
          throw downloadError('truncated', name, `it ended after ${position} of ${stat.size} bytes`)
        }
        position += bytesRead
        yield chunk.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }
  return { size: stat.size, etag: undefined, lastModified: stat.mtime, body: body(), close: () => file.close() }
}

function localPath(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw downloadError('address', url, 'it is no address of a file', { cause })
  }
}
