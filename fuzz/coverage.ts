/** Which blocks of our parsers have run, by V8's precise coverage (inspector protocol, Profiler domain). */
import { Session } from 'node:inspector/promises'

/** Only what parses is of interest. */
const PARSERS = /\/src\/(?:formats|measure|tpm|image|varlink|imds|cloud|sysupdate)\//

export class Coverage {
  readonly #session = new Session()
  /** A character of source that has ever run is 1; by script. */
  readonly #seen = new Map<string, Uint8Array>()
  #last: Map<string, Uint8Array> | undefined

  async start(): Promise<void> {
    this.#session.connect()
    await this.#session.post('Profiler.enable')
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** What has run since the last call. */
  async #take(): Promise<Map<string, Uint8Array>> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage')
    const taken = new Map<string, Uint8Array>()
    for (const { url, functions } of result) {
      if (!PARSERS.test(url)) continue
      const now = new Uint8Array(Math.max(0, ...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0)))
      // Inner functions and blocks come after those around them, and say it better.
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) now.fill(count > 0 ? 1 : 0, startOffset, endOffset)
      }
      taken.set(url, now)
    }
    return taken
  }

  /** Whether anything has run since the last call that had not run before. */
  async isNew(): Promise<boolean> {
    this.#last = await this.#take()
    for (const [url, now] of this.#last) {
      const seen = this.#seen.get(url)
      if (seen === undefined ? now.includes(1) : now.some((flag, index) => flag === 1 && seen[index] !== 1)) return true
    }
    return false
  }

  /** Remembers what has run at the last {@link isNew}, or by now. */
  async merge(): Promise<void> {
    for (const [url, now] of this.#last ?? (await this.#take())) {
      const seen = this.#seen.get(url) ?? []
      this.#seen.set(
        url,
        Uint8Array.from({ length: Math.max(seen.length, now.length) }, (_, at) => (now[at] || seen[at]) ?? 0),
      )
    }
    this.#last = undefined
  }

  /** How many characters of source have run. */
  get size(): number {
    let size = 0
    for (const seen of this.#seen.values()) for (const flag of seen) size += flag
    return size
  }

  async stop(): Promise<void> {
    await this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }
}
