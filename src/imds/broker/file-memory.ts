import { type BigIntStats, statSync } from 'node:fs'

/** More files than metadata has keys. */
const MAX_FILES = 1024

/**
 * What files said when they were last read: to ask whether one is still the same file takes a tenth of reading it again. For calls
 * that have come together it is asked once, which takes as long as all else of a call.
 */
export class FileMemory<T> {
  readonly #known = new Map<string, { readonly inode: bigint; readonly changedNs: bigint; readonly said: T }>()
  /** What was looked at in this turn of the event loop. */
  readonly #lookedAt = new Set<string>()

  /** What a file says; undefined where it is not there, or `load` makes nothing of it. */
  read(path: string, load: () => T | undefined): T | undefined {
    const known = this.#known.get(path)
    if (known !== undefined && this.#lookedAt.has(path)) return known.said
    const stat = lookAt(path)
    if (stat === undefined) return undefined
    if (this.#lookedAt.size === 0) setImmediate(() => this.#lookedAt.clear())
    this.#lookedAt.add(path)
    if (known?.inode === stat.ino && known.changedNs === stat.ctimeNs) return known.said
    // Was it changed since it was looked at, then the next look shows it.
    const said = load()
    if (this.#known.size >= MAX_FILES) this.#known.clear()
    if (said === undefined) this.#known.delete(path)
    else this.#known.set(path, { inode: stat.ino, changedNs: stat.ctimeNs, said })
    return said
  }

  /** For who has changed a file: the next look is another one, even in this turn. */
  forget(path: string): void {
    this.#known.delete(path)
  }
}

function lookAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
