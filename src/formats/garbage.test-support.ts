import { expect } from 'vitest'
import { BootwrightError } from '../system/index.ts'

/** Bytes that look random and are the same in every run (mulberry32). */
export function garbage(seed: number, length: number): Uint8Array {
  let state = seed
  return Uint8Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) & 0xff
  })
}

/** `bytes` with some of them replaced by garbage. */
export function damaged(bytes: Uint8Array, seed: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const noise = garbage(seed, 24)
  for (let index = 0; index < 24; index += 3) {
    const at = (((noise[index] ?? 0) << 8) | (noise[index + 1] ?? 0)) % copy.byteLength
    copy[at] = noise[index + 2] ?? 0
  }
  return copy
}

/** Succeeds or rejects as malformed with an offset; anything else fails the test. */
export function expectResultOrMalformed(parse: () => unknown): 'result' | 'malformed' {
  try {
    parse()
    return 'result'
  } catch (error) {
    if (!(error instanceof BootwrightError)) throw error
    expect(error.code).toBe('MALFORMED_INPUT')
    expect(error.detail.offset).toEqual(expect.any(Number))
    return 'malformed'
  }
}
