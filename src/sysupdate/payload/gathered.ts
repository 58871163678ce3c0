import { finished, type Readable } from 'node:stream'

/** As much as the cache of a processor holds beside what is made of it. */
const PIECE_BYTES = 256 * 1024

/**
 * What a stream gives, in pieces as large as what there is of it: a connection gives a few KiB at a time, and all that is done for
 * each of them costs more than to copy it. A piece is good until the next but one is asked for. Rejects with what the stream has,
 * after the last bytes before that.
 */
export async function* gathered(source: Readable): AsyncGenerator<Buffer, void, void> {
  // The two that were given last stay as they are.
  const spare = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)]
  let [block, filled] = [Buffer.allocUnsafeSlow(PIECE_BYTES), 0]
  /** What did not fit any more. */
  let rest: Buffer | undefined
  let ended: { readonly error: unknown } | undefined
  let wake: (() => void) | undefined
  const take = (chunk: Buffer): void => {
    const taken = chunk.copy(block, filled)
    filled += taken
    rest = taken < chunk.byteLength ? chunk.subarray(taken) : undefined
    if (filled === PIECE_BYTES) source.pause()
    wake?.()
  }
  const cleanUp = finished(source, { writable: false }, (error) => {
    ended = { error }
    wake?.()
  })
  source.on('data', take)
  try {
    for (;;) {
      if (filled < PIECE_BYTES && ended === undefined) {
        source.resume()
        if (filled === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          wake = undefined
        }
        // More may be there already.
        await new Promise((resolve) => setImmediate(resolve))
      }
      if (filled > 0) {
        const piece = block.subarray(0, filled)
        spare.push(block)
        block = spare.shift() ?? block
        filled = 0
        if (rest !== undefined) take(rest)
        yield piece
      } else if (ended !== undefined) {
        if (ended.error !== undefined && ended.error !== null) throw ended.error
        return
      }
    }
  } finally {
    source.off('data', take)
    cleanUp()
  }
}
