import { describe, expect, it } from 'vitest'
import { findPython, isAtLeast } from './python.ts'

describe('isAtLeast()', () => {
  it.for([
    ['27.1-1', [27], true],
    ['27', [27, 1], false],
    ['26.9', [27], false],
    ['3.10.2', [3, 9], true],
    ['v26.10.0', [26], true],
    ['0.10.2', [0, 8], true],
    ['28~devel', [27], true],
    ['', [1], false],
    ['none', [1], false],
  ] as const)('%s against %j is %s', ([version, wanted, expected]) => {
    expect(isAtLeast(version, wanted)).toBe(expected)
  })
})

describe('findPython()', () => {
  it('passes over what does not start', async () => {
    expect((await findPython(['/nowhere/python3', 'python3'])).path).toBe('python3')
  })

  it('says what was found when none does', async () => {
    await expect(findPython(['/nowhere/python3'])).rejects.toMatchObject({ code: 'TOOL_MISSING' })
    await expect(findPython(['false'])).rejects.toMatchObject({ message: expect.stringContaining('false is broken') })
  })
})
