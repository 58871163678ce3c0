import { describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const printError = new URL('./print-error.ts', import.meta.url).href
const system = new URL('../system/index.ts', import.meta.url).href

/** What a process of its own prints for this error. */
async function printed(error: string, withStack = false): Promise<{ stdout: string; stderr: string }> {
  const script = `
    const { printError } = await import(${JSON.stringify(printError)})
    const { BootwrightError } = await import(${JSON.stringify(system)})
    printError(${error}, { withStack: ${withStack} })`
  return runUnchecked({ argv: [process.execPath, '--input-type=module', '--eval', script], env: { NO_COLOR: '1' } })
}

const OURS = `new BootwrightError('NO_SPACE', 'Expected 2 GiB, found 1', { hint: 'Make room.', cause: new Error('ENOSPC') })`

describe('printError()', () => {
  it('says what is wrong and what to do, and no more', async () => {
    const { stdout, stderr } = await printed(OURS)
    expect(stderr).toBe('error: Expected 2 GiB, found 1\nhint: Make room.\n')
    expect(stdout).toBe('')
  })

  it('says nothing of a hint where there is none', async () => {
    expect((await printed(`new BootwrightError('NO_SPACE', 'Full')`)).stderr).toBe('error: Full\n')
  })

  it('shows stacks, causes too, where they were asked for', async () => {
    const { stderr } = await printed(OURS, true)
    expect(stderr).toMatch(/Make room\.\n.*Expected 2 GiB, found 1\n +at [\s\S]*Error: ENOSPC\n +at /)
  })

  it('calls everything else a bug, with its stack', async () => {
    const { stderr } = await printed(`new TypeError('x is not a function')`)
    expect(stderr).toMatch(/^bug: x is not a function\nThis is a fault of Bootwright.*\nTypeError: .*\n +at /)
  })

  it('prints what is no error at all', async () => {
    expect((await printed(`'just words'`)).stderr).toMatch(/^bug: just words\nThis is a fault/)
    expect((await printed('undefined')).stderr).toMatch(/^bug: undefined\n/)
  })
})
