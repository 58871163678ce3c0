import { seededRandom } from '../../formats/index.ts'

/** Bytes that look random and are the same in every run. */
export function noise(seed: number, length: number): Uint8Array {
  const random = seededRandom(seed)
  return Uint8Array.from({ length }, () => Math.floor(random() * 256))
}
