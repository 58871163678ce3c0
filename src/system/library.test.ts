import { expect, it } from 'vitest'
import { addressOfBytes, loadLibrary } from './library.ts'

it('loadLibrary() calls what a library has, and gives nothing where it is not there', () => {
  const strlen = { arguments: ['pointer'], return: 'u64' } as const
  expect(loadLibrary('libc.so.6', { strlen })?.strlen(Buffer.from('four\0'))).toBe(4n)
  expect(loadLibrary('libc.so.6', { no_such_function: strlen })).toBeUndefined()
  expect(loadLibrary('libno-such-library.so.9', { strlen })).toBeUndefined()
})

it('addressOfBytes() is where they are', () => {
  const bytes = Buffer.from('abc\0defg\0')
  const strlen = { arguments: ['u64'], return: 'u64' } as const
  expect(addressOfBytes(bytes.subarray(4)) - addressOfBytes(bytes)).toBe(4n)
  expect(loadLibrary('libc.so.6', { strlen })?.strlen(addressOfBytes(bytes.subarray(4)))).toBe(4n)
})
