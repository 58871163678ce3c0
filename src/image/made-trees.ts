import { readFileSync } from 'node:fs'
import { BootwrightError } from '../system/index.ts'
import { configurationFiles } from './sections.ts'

/** Files for an image, or configuration, that this program makes; the identity is another one whenever they are others. */
export interface MadeTree {
  readonly name: string
  readonly path: string
  readonly identity: string
  /** The tree is configuration of mkosi's, not files of the image. */
  readonly isConfiguration?: boolean
}

/** Who makes them, by the names that definitions ask for them with. */
export type TreeMakers = Readonly<Record<string, () => Promise<Omit<MadeTree, 'name'>>>>

const SECTION = '[X-Bootwright]'

/**
 * Makes the trees that a definition asks for with `ExtraTrees=` in a section `[X-Bootwright]`, which mkosi leaves to us.
 * Rejects with `BUILD_FAILED` for a name that nobody here makes.
 */
export async function makeTrees(definitionDirectory: string, makers: TreeMakers = {}): Promise<MadeTree[]> {
  const made: MadeTree[] = []
  for (const name of wantedTrees(definitionDirectory)) {
    const make = makers[name]
    if (make === undefined) {
      const known = Object.keys(makers).join(', ') || 'none here'
      throw new BootwrightError('BUILD_FAILED', `${definitionDirectory} asks for the tree "${name}" in ${SECTION}`, {
        hint: `Trees that can be made: ${known}.`,
      })
    }
    made.push({ name, ...(await make()) })
  }
  return made
}

function wantedTrees(directory: string): string[] {
  const names = configurationFiles(directory).flatMap((file) => {
    const sections = readFileSync(file, 'utf8').split(/^(?=\s*\[)/m)
    const own = sections.filter((section) => section.trimStart().startsWith(SECTION)).join('\n')
    return [...own.matchAll(/^ExtraTrees=(.*)$/gm)].flatMap(([, value = '']) => value.split(/[\s,]+/))
  })
  return [...new Set(names.filter(Boolean))]
}
