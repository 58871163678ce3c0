import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openBelow, sizeOf, tryContentLock, tryLock } from './libc-files.ts'

let directory: string
let root: number

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-libc-files-'))
  mkdirSync(join(directory, 'root/real'), { recursive: true })
  writeFileSync(join(directory, 'root/real/file'), 'inside')
  writeFileSync(join(directory, 'secret'), 'outside')
  symlinkSync('/real', join(directory, 'root/absolute'))
  symlinkSync('../../secret', join(directory, 'root/real/out'))
  root = openSync(join(directory, 'root'), 'r')
})

afterAll(() => {
  closeSync(root)
  rmSync(directory, { recursive: true })
})

function read(path: string, links: 'inside' | 'strict'): string | undefined {
  const fd = openBelow(root, path, { flags: constants.O_RDONLY, links })
  if (fd === undefined) return undefined
  const text = readFileSync(fd, 'utf8')
  closeSync(fd)
  return text
}

it('openBelow() never leaves the directory, whatever links say', () => {
  expect(read('real/file', 'strict')).toBe('inside')
  expect(read('absolute/file', 'inside')).toBe('inside')
  expect(read('real/none', 'strict')).toBeUndefined()
  expect(read('real/out', 'inside')).toBeUndefined()
  for (const path of ['absolute/file', 'real/out']) expect(() => read(path, 'strict')).toThrow('ELOOP')
  expect(() => read('../secret', 'strict')).toThrow('EXDEV')
  expect(read('../secret', 'inside')).toBeUndefined()
})

it('tryLock() gives the lock to one, until it is closed', () => {
  const path = join(directory, 'secret')
  const [first, second] = [openSync(path, 'r'), openSync(path, 'r')]
  expect([tryLock(first), tryLock(first), tryLock(second)]).toEqual([true, true, false])
  closeSync(first)
  expect(tryLock(second)).toBe(true)
  expect(sizeOf(second)).toBe(7)
  closeSync(second)
  expect(() => tryLock(second)).toThrow('EBADF')
  expect(() => sizeOf(root)).not.toThrow()
})

it('tryContentLock() gives the lock to one, until it is closed, and leaves the other lock alone', () => {
  const path = join(directory, 'secret')
  const [first, second] = [openSync(path, 'r+'), openSync(path, 'r+')]
  expect([tryContentLock(first), tryContentLock(first), tryContentLock(second)]).toEqual([true, true, false])
  expect(tryLock(second)).toBe(true)
  closeSync(first)
  expect(tryContentLock(second)).toBe(true)
  closeSync(second)
  const unwritable = openSync(path, 'r')
  expect(() => tryContentLock(unwritable)).toThrow('EBADF')
  closeSync(unwritable)
})
