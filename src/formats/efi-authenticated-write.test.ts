import { describe, expect, it } from 'vitest'
import {
  efiTime,
  parseAuthenticatedWrite,
  signedBytesOfWrite,
  writeAuthenticatedWrite,
} from './efi-authenticated-write.ts'
import { damaged, expectResultOrMalformed } from './garbage.test-support.ts'

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
/** A SEQUENCE with version 1 and nothing else of a SignedData; the same in a ContentInfo of type signedData. */
const BARE = Buffer.from('3003020101', 'hex')
const WRAPPED = Buffer.from('301206092a864886f70d010702a0053003020101', 'hex')
const TIMESTAMP = efiTime(new Date('2020-02-03T04:05:06Z'))

describe('authenticated writes', () => {
  it('have the time of UEFI', () => {
    expect(Buffer.from(TIMESTAMP).toString('hex')).toBe('e4070203040506000000000000000000')
  })

  it('are signed over name, GUID, attributes, time and value', () => {
    const write = { name: 'PK', vendorGuid: GLOBAL, attributes: 0x27, data: Buffer.from('value') }
    expect(Buffer.from(signedBytesOfWrite(write, TIMESTAMP)).toString('hex')).toBe(
      `50004b0061dfe48bca93d211aa0d00e098032b8c27000000${Buffer.from(TIMESTAMP).toString('hex')}76616c7565`,
    )
  })

  it.for([
    ['bare', BARE],
    ['wrapped', WRAPPED],
  ] as const)('come back as they were written, with a signature that is %s', ([, signature]) => {
    const written = writeAuthenticatedWrite({ timestamp: TIMESTAMP, signature, payload: Buffer.from('value') })
    const { timestamp, ...read } = parseAuthenticatedWrite(written)
    expect(Buffer.from(timestamp)).toEqual(Buffer.from(TIMESTAMP))
    expect(Buffer.from(read.signature)).toEqual(BARE)
    expect(Buffer.from(read.payload).toString()).toBe('value')
  })

  it('are MALFORMED_INPUT where they are none', () => {
    const written = writeAuthenticatedWrite({ timestamp: TIMESTAMP, signature: BARE, payload: Buffer.from('value') })
    for (const [offset, byte] of [
      [16, 0xff],
      [16, 0x01],
      [21, 0],
      [22, 0],
      [24, 0],
    ] as const) {
      const broken = Buffer.from(written)
      broken[offset] = byte
      expect(() => parseAuthenticatedWrite(broken)).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    }
    for (let seed = 0; seed < 200; seed++)
      expectResultOrMalformed(() => parseAuthenticatedWrite(damaged(written, seed)))
  })
})
