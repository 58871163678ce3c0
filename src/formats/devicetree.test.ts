import { expect, it } from 'vitest'
import { devicetree } from './devicetree.test-support.ts'
import { devicetreeCompatible } from './devicetree.ts'

const BLOB = devicetree([
  ['model', 'A board\0'],
  ['compatible', 'vendor,board-2\0vendor,board\0'],
])

it('is the first compatible string of the root', () => {
  expect(devicetreeCompatible(BLOB)).toBe('vendor,board-2')
  expect(devicetreeCompatible(Buffer.concat([BLOB, Buffer.alloc(100)]))).toBe('vendor,board-2')
})

it('is none where the root has none, or one without an end', () => {
  expect(devicetreeCompatible(devicetree([['model', 'A board\0']]))).toBeUndefined()
  expect(devicetreeCompatible(devicetree([['compatible', 'vendor,board']]))).toBeUndefined()
  expect(devicetreeCompatible(devicetree([['compatible', '']]))).toBeUndefined()
})

it('is none in a blob that is cut anywhere, or has another number in it', () => {
  for (let length = 0; length < BLOB.byteLength; length++) {
    expect(devicetreeCompatible(BLOB.subarray(0, length))).toBeUndefined()
  }
  for (const offset of [0, 8, 12, 32, 36]) {
    const forged = Buffer.from(BLOB)
    forged.writeUInt32BE(0xfffffffc, offset)
    expect(devicetreeCompatible(forged)).toBeUndefined()
  }
})
