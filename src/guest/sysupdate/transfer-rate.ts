/** Of the rate: what was a while ago does not say how it goes on. */
const WINDOW_MS = 3000
const EVERY_MS = 100

/** How fast something is transferred, of what came in the last three seconds. */
export class TransferRate {
  #samples: { readonly atMs: number; readonly bytes: number }[] = []

  /** @param bytes so far, of the whole transfer */
  add(atMs: number, bytes: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && atMs - last.atMs < EVERY_MS) return
    this.#samples = [...this.#samples.filter((sample) => atMs - sample.atMs <= WINDOW_MS), { atMs, bytes }]
  }

  /** Undefined until there is enough to tell it by. */
  get bytesPerSecond(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)]
    if (first === undefined || last === undefined || last.atMs === first.atMs) return undefined
    return ((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs)
  }
}
