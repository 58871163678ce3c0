import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { releaseProgramPages } from '../../system/index.ts'
import { keepYoungGenerationSmall } from '../young-generation.ts'

/**
 * Of its compilers V8 keeps the one for what runs longest: the memory of the one in between is more than all else that the
 * broker has at rest.
 */
const FLAGS = ['--no-maglev', '--expose-gc']

/**
 * For a program that is always there and seldom asked: gives back, whenever it is called, the memory that nobody needs any more,
 * and needs less from then on. Not before, as somebody waits for its start.
 */
export function memoryAtRest(): () => void {
  let collect: ((options: object) => void) | undefined
  return () => {
    if (collect === undefined) {
      for (const flag of FLAGS) setFlagsFromString(flag)
      keepYoungGenerationSmall()
      collect = runInNewContext('gc') as (options: object) => void
    }
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    releaseProgramPages()
  }
}
