import { expect } from 'vitest'
import { type MachineMatchers, matchers } from './matchers/index.ts'

declare module 'vitest' {
  // The parameters have to be those of Vitest's own declaration.
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> extends MachineMatchers<R> {}
}

expect.extend(matchers)

export { expect }
