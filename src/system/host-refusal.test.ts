import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { BootwrightError } from './error.ts'
import { asHostError } from './host-refusal.ts'

function systemError(code: string, syscall = 'open'): Error {
  return Object.assign(new Error(code), { code, syscall, path: '/some/file' })
}

describe('asHostError()', () => {
  it.for([
    ['ENOSPC', 'NO_SPACE', 'Cannot open /some/file: no space is left'],
    ['EDQUOT', 'NO_SPACE', 'Cannot open /some/file: no space is left'],
    ['EACCES', 'HOST_UNSUITABLE', 'Cannot open /some/file: permission is denied'],
    ['EROFS', 'HOST_UNSUITABLE', 'Cannot open /some/file: the file system is read-only'],
  ] as const)('knows whose fault %s is', ([code, ours, message]) => {
    const error = asHostError(systemError(code))
    expect(error).toMatchObject({ code: ours, family: 'host', message, hint: expect.any(String) })
    expect((error as Error).cause).toMatchObject({ code })
  })

  it('says what was to be done, in the words of the caller', () => {
    expect(asHostError(systemError('EROFS'), 'Cannot write to the cache', 'Another.')).toMatchObject({
      message: 'Cannot write to the cache: the file system is read-only',
      hint: 'Another.',
    })
  })

  it('sees through what Node says of directories on a file system that is read-only', () => {
    expect(asHostError(systemError('ENOENT', 'mkdir'))).toMatchObject({
      code: 'HOST_UNSUITABLE',
      message: 'Cannot make the directory /some/file: the file system is read-only',
    })
  })

  it('leaves alone what is not the fault of the host', async () => {
    const missing = await readFile('/no/such/file').catch((error: unknown) => error)
    const own = new BootwrightError('BUG', 'ours')
    for (const error of [missing, own, new TypeError('x'), 'text', undefined]) expect(asHostError(error)).toBe(error)
  })
})
