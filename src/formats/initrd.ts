import { gunzipSync, type InputType, zstdDecompressSync } from 'node:zlib'
import { cpioArchive } from './cpio.ts'
import { malformed } from './malformed.ts'

/** More than any initrd that a machine here could unpack. */
const MAX_BYTES = 1024 * 1024 * 1024
const CPIO_MAGIC = Buffer.from('07070')

interface Compression {
  readonly magic: Uint8Array
  readonly decompress: (bytes: InputType, options: object) => unknown
}

const COMPRESSIONS: readonly Compression[] = [
  { magic: Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd), decompress: zstdDecompressSync },
  { magic: Uint8Array.of(0x1f, 0x8b), decompress: gunzipSync },
]

/**
 * The files of an initrd by path, `usr/lib/os-release`: those of all archives that it is joined of, with zeros between them,
 * each compressed with zstd, with gzip or not at all (the kernel's buffer-format.rst). A later one replaces an earlier one.
 */
export function initrdFiles(initrd: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const bytes = Buffer.from(initrd.buffer, initrd.byteOffset, initrd.byteLength)
  let left = MAX_BYTES
  for (let offset = behindZeros(bytes, 0); offset < bytes.byteLength; offset = behindZeros(bytes, offset)) {
    const rest = bytes.subarray(offset)
    if (startsWith(rest, CPIO_MAGIC)) {
      offset += addArchive(files, rest)
      continue
    }
    const { content, consumed } = decompressed(rest, offset, left)
    left -= content.byteLength
    for (let at = behindZeros(content, 0); at < content.byteLength; at = behindZeros(content, at)) {
      at += addArchive(files, content.subarray(at))
    }
    offset += consumed
  }
  return files
}

/** The length of the archive. */
function addArchive(files: Map<string, Uint8Array>, archive: Buffer): number {
  const { entries, endOffset } = cpioArchive(archive)
  for (const [path, { content }] of entries) files.set(path, content)
  // What is too short for a member is none, and nothing comes after it.
  return endOffset === 0 ? archive.byteLength : endOffset
}

function decompressed(bytes: Buffer, offset: number, limit: number): { content: Buffer; consumed: number } {
  const place = { what: 'initrd', field: 'archive', offset }
  const compression = COMPRESSIONS.find(({ magic }) => startsWith(bytes, magic))
  if (compression === undefined) throw malformed(place, 'expected cpio, zstd or gzip, found none of them')
  try {
    // With what it has read: another archive may begin behind it.
    const result = compression.decompress(bytes, { info: true, maxOutputLength: Math.max(1, limit) })
    const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } }
    return { content: buffer, consumed: Math.max(1, engine.bytesWritten) }
  } catch (cause) {
    throw malformed(place, cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function startsWith(bytes: Buffer, magic: Uint8Array): boolean {
  return bytes.subarray(0, magic.byteLength).equals(magic)
}

function behindZeros(bytes: Buffer, offset: number): number {
  let at = offset
  while (at < bytes.byteLength && bytes[at] === 0) at++
  return at
}
