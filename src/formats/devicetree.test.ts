import { expect, it } from 'vitest'
import { devicetreeCompatible } from './devicetree.ts'

/** A root with model "A board", and compatible "vendor,board-2" and "vendor,board". */
const BLOB = Buffer.from(
  'd00dfeed00000095000000380000008400000028000000110000001000000000000000110000004c0000000000000000' +
    '000000000000000000000001000000000000000300000008000000004120626f61726400000000030000001c00000006' +
    '76656e646f722c626f6172642d320076656e646f722c626f6172640000000002000000096d6f64656c00636f6d706174' +
    '69626c6500',
  'hex',
)
/** Where the property of that name begins: its length, the place of its name, its value. */
const COMPATIBLE = 88

it('is the first compatible string of the root', () => {
  expect(devicetreeCompatible(BLOB)).toBe('vendor,board-2')
  expect(devicetreeCompatible(Buffer.concat([BLOB, Buffer.alloc(100)]))).toBe('vendor,board-2')
})

it('is none where the root has none, or one without an end', () => {
  const without = Buffer.from(BLOB.toString('latin1').replace('compatible', 'compatiblf'), 'latin1')
  expect(devicetreeCompatible(without)).toBeUndefined()
  for (const length of [0, 14, 20, 0xfffffffc]) {
    const forged = Buffer.from(BLOB)
    forged.writeUInt32BE(length, COMPATIBLE)
    expect(devicetreeCompatible(forged)).toBeUndefined()
  }
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
