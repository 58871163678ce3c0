import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Of its compilers V8 keeps the one for what runs longest: the memory of the one in between is more than all else that the
 * broker has at rest. The young generation is emptied before it has grown.
 */
const FLAGS = ['--no-maglev', '--max-semi-space-size=1', '--semi-space-growth-factor=1', '--expose-gc']

/** For a program that is always there and seldom asked. Returns what gives back the memory that nobody needs any more. */
export function keepHeapSmall(): () => void {
  for (const flag of FLAGS) setFlagsFromString(flag)
  const collect: (options: object) => void = runInNewContext('gc')
  return () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
