import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { asHostError } from '../system/index.ts'
import { removeTree } from '../toolchain/index.ts'

/** A directory beside the one that is to be made, on the same file system. Leaving the scope removes what is left. */
export class Staging implements AsyncDisposable {
  readonly directory: string
  readonly #target: string

  private constructor(directory: string, target: string) {
    this.directory = directory
    this.#target = target
  }

  /**
   * The caller holds the lock on the parent of `target`, so whatever was left there belongs to nobody, except to `own`,
   * another one of this caller.
   */
  static async open(target: string, own?: Staging): Promise<Staging> {
    const parent = dirname(target)
    try {
      await mkdir(parent, { recursive: true })
      for (const left of await Staging.leftovers(target)) if (left !== own?.directory) await removeTree(left)
      const directory = aside(target, 'new')
      await mkdir(directory)
      return new Staging(directory, target)
    } catch (cause) {
      throw asHostError(cause, `Cannot write to ${parent}`, 'Make it writable, or work in a clone of your own.')
    }
  }

  /** What was begun beside `target` and is not in its place: being made now, or left by a process that was killed. */
  static async leftovers(target: string): Promise<string[]> {
    const files = await readdir(dirname(target)).catch(() => [])
    return files
      .filter((file) => /^\..*\.[0-9a-f]{8}\.(?:new|old)$/.test(file))
      .map((file) => join(dirname(target), file))
  }

  /** Puts the directory in its place. What was there before is gone only when the new one is there. */
  async publish(): Promise<void> {
    const old = aside(this.#target, 'old')
    const hadOld = await rename(this.#target, old).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false
        throw error
      },
    )
    try {
      await rename(this.directory, this.#target)
    } catch (cause) {
      if (hadOld) await rename(old, this.#target)
      throw cause
    }
    if (hadOld) await removeTree(old)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.directory)
    // Nothing stays where nothing was.
    for (const parent of [dirname(this.#target), dirname(dirname(this.#target))]) {
      await rmdir(parent).catch(() => undefined)
    }
  }
}

function aside(target: string, kind: 'new' | 'old'): string {
  return join(dirname(target), `.${basename(target)}.${randomBytes(4).toString('hex')}.${kind}`)
}
