import { type BigIntStats, statSync } from 'node:fs'

/** More files than metadata has keys. */
const MAX_FILES = 1024

/** What files said when they were last read: to ask whether one is still the same file takes a tenth of reading it again. */
export class FileMemory<T> {
  readonly #known = new Map<string, { readonly inode: bigint; readonly changedNs: bigint; readonly said: T }>()

  /** What a file says; undefined where it is not there, or `load` makes nothing of it. */
  read(path: string, load: () => T | undefined): T | undefined {
    const stat = lookAt(path)
    if (stat === undefined) return undefined
    const known = this.#known.get(path)
    if (known?.inode === stat.ino && known.changedNs === stat.ctimeNs) return known.said
    // Was it changed since it was looked at, then the next look shows it.
    const said = load()
    if (this.#known.size >= MAX_FILES) this.#known.clear()
    if (said === undefined) this.#known.delete(path)
    else this.#known.set(path, { inode: stat.ino, changedNs: stat.ctimeNs, said })
    return said
  }
}

function lookAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
