import { addressOfBytes, loadLibrary } from '../../system/index.ts'

/** A decompressor of one of the system's own libraries: in this process, so that no byte goes through a pipe. */
export interface LibraryDecoder extends Disposable {
  /** Takes what comes next; it has to stay as it is until all of it is used. */
  feed(input: Buffer): void
  /**
   * Decompresses into `output` from `start` on, and gives where it has ended: before the end of `output`, it needs more input.
   * Throws with what the library says of bytes that are damaged.
   */
  decode(output: Buffer, start: number): number
  /** The same with what is left when there is no more input; throws where that is the end of nothing. */
  finish(output: Buffer, start: number): number
}

/** Undefined where the system does not have the library. */
export function openLibraryDecoder(kind: 'zstd' | 'xz'): LibraryDecoder | undefined {
  return kind === 'zstd' ? openZstd() : openXz()
}

/** `ZSTD_inBuffer` and `ZSTD_outBuffer` (zstd.h): address, size, position. */
const [BUFFER_BYTES, SIZE_AT, POSITION_AT] = [24, 8, 16]

function openZstd(): LibraryDecoder | undefined {
  const library = loadLibrary('libzstd.so.1', {
    ZSTD_createDStream: { arguments: [], return: 'pointer' },
    ZSTD_freeDStream: { arguments: ['pointer'], return: 'u64' },
    ZSTD_decompressStream: { arguments: ['pointer', 'pointer', 'pointer'], return: 'u64' },
    ZSTD_getErrorCode: { arguments: ['u64'], return: 'u32' },
  })
  if (library === undefined) return undefined
  const stream = library.ZSTD_createDStream()
  const [source, target] = [Buffer.alloc(BUFFER_BYTES), Buffer.alloc(BUFFER_BYTES)]
  let held: { readonly input?: Buffer; readonly output?: Buffer } = {}
  /** 0 between frames. */
  let expected = 0n
  const decode = (output: Buffer, start: number): number => {
    if (held.output !== output) {
      held = { ...held, output }
      target.writeBigUInt64LE(addressOfBytes(output), 0)
      target.writeBigUInt64LE(BigInt(output.byteLength), SIZE_AT)
    }
    target.writeBigUInt64LE(BigInt(start), POSITION_AT)
    for (;;) {
      const before = target.readBigUInt64LE(POSITION_AT)
      const isEmpty = source.readBigUInt64LE(POSITION_AT) === source.readBigUInt64LE(SIZE_AT)
      if (isEmpty && expected === 0n) break
      const result = library.ZSTD_decompressStream(stream, target, source)
      const code = library.ZSTD_getErrorCode(result)
      if (code !== 0) throw new Error(ZSTD_PROBLEMS[code] ?? `error ${code} of libzstd`)
      expected = result
      const end = target.readBigUInt64LE(POSITION_AT)
      if (end === BigInt(output.byteLength) || (isEmpty && end === before)) break
    }
    return Number(target.readBigUInt64LE(POSITION_AT))
  }
  return {
    feed(input) {
      held = { ...held, input }
      source.writeBigUInt64LE(addressOfBytes(input), 0)
      source.writeBigUInt64LE(BigInt(input.byteLength), SIZE_AT)
      source.writeBigUInt64LE(0n, POSITION_AT)
    },
    decode,
    finish(output, start) {
      const end = decode(output, start)
      if (end < output.byteLength && expected !== 0n) throw new Error('unexpected end of file')
      return end
    },
    [Symbol.dispose]: () => void library.ZSTD_freeDStream(stream),
  }
}

/** Of zstd_errors.h, those that bytes can cause. */
const ZSTD_PROBLEMS: Readonly<Record<number, string>> = {
  10: 'unknown frame descriptor',
  12: 'version not supported',
  14: 'unsupported frame parameter',
  16: 'frame requires too much memory for decoding',
  20: 'data corruption detected',
  22: "restored data doesn't match checksum",
  24: "header of literals' block doesn't respect format specification",
  30: 'dictionary is corrupted',
  32: 'dictionary mismatch',
  64: 'allocation error: not enough memory',
}

/** `lzma_stream` (lzma/base.h): what is next in, what is next out, and what is the library's own. */
const STREAM_BYTES = 136
const [NEXT_IN, AVAILABLE_IN, NEXT_OUT, AVAILABLE_OUT] = [0, 8, 24, 32]
const [LZMA_RUN, LZMA_FINISH, LZMA_CONCATENATED] = [0, 3, 0x08]
const [LZMA_OK, LZMA_STREAM_END, LZMA_BUF_ERROR] = [0, 1, 10]
/** A window of `xz -9` takes 65 MiB. */
const MEMORY_LIMIT = 256n * 1024n * 1024n

function openXz(): LibraryDecoder | undefined {
  const library = loadLibrary('liblzma.so.5', {
    lzma_stream_decoder: { arguments: ['pointer', 'u64', 'u32'], return: 'u32' },
    lzma_code: { arguments: ['pointer', 'u32'], return: 'u32' },
    lzma_end: { arguments: ['pointer'], return: 'void' },
  })
  if (library === undefined) return undefined
  const stream = Buffer.alloc(STREAM_BYTES)
  if (library.lzma_stream_decoder(stream, MEMORY_LIMIT, LZMA_CONCATENATED) !== LZMA_OK) return undefined
  let held: { readonly input?: Buffer; readonly output?: Buffer } = {}
  let isOver = false
  const code = (output: Buffer, start: number, action: number): number => {
    held = { ...held, output }
    stream.writeBigUInt64LE(addressOfBytes(output) + BigInt(start), NEXT_OUT)
    stream.writeBigUInt64LE(BigInt(output.byteLength - start), AVAILABLE_OUT)
    while (!isOver) {
      const result = library.lzma_code(stream, action)
      if (result === LZMA_STREAM_END) isOver = true
      // It can do nothing more with what there is.
      else if (result === LZMA_BUF_ERROR && action === LZMA_RUN) break
      else if (result !== LZMA_OK) throw new Error(XZ_PROBLEMS[result] ?? `error ${result} of liblzma`)
      const isFull = stream.readBigUInt64LE(AVAILABLE_OUT) === 0n
      if (isFull || (action === LZMA_RUN && stream.readBigUInt64LE(AVAILABLE_IN) === 0n)) break
    }
    return output.byteLength - Number(stream.readBigUInt64LE(AVAILABLE_OUT))
  }
  return {
    feed(input) {
      held = { ...held, input }
      stream.writeBigUInt64LE(addressOfBytes(input), NEXT_IN)
      stream.writeBigUInt64LE(BigInt(input.byteLength), AVAILABLE_IN)
    },
    decode: (output, start) => code(output, start, LZMA_RUN),
    finish: (output, start) => code(output, start, LZMA_FINISH),
    [Symbol.dispose]: () => library.lzma_end(stream),
  }
}

/** `lzma_ret` (lzma/base.h). */
const XZ_PROBLEMS: Readonly<Record<number, string>> = {
  5: 'cannot allocate memory',
  6: 'it needs more than 256 MiB of memory',
  7: 'file format not recognized',
  8: 'unsupported options',
  9: 'compressed data is corrupt',
  10: 'unexpected end of input',
}
