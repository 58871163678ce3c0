import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Cache } from '../../toolchain/index.ts'
import { guestToolsProgram } from '../program.ts'
import { treeFiles, treeLinks, writeExtraTree } from './write.ts'

interface GuestTree {
  readonly path: string
  readonly identity: string
}

/** What images may ask for by name (`ExtraTrees=` in `[X-Bootwright]`): the guest tools, made unless they are there already. */
export function guestTrees(cache: Cache, signal?: AbortSignal): { readonly 'guest-tools': () => Promise<GuestTree> } {
  return {
    'guest-tools': async () => {
      const program = await guestToolsProgram(cache, { signal })
      // The program's place is named after what it was made from.
      const facts = JSON.stringify([program.slice(cache.directory.length), treeFiles(), treeLinks()])
      const identity = createHash('sha256').update(facts).digest('hex')
      const make = (directory: string): Promise<void> => writeExtraTree(join(directory, 'tree'), program)
      const entry = await cache.entry('guest-trees', identity.slice(0, 16), make, { signal })
      return { path: join(entry, 'tree'), identity }
    },
  }
}
