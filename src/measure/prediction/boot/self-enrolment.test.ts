import { describe, expect, it } from 'vitest'
import { diskOf, efiTime, writeAuthenticatedWrite } from '../../../formats/index.ts'
import { bootDisk, type Files, loader, uki } from './boot-disk.test-support.ts'
import { selfEnrolledVariables } from './self-enrolment.ts'

const BOOT = 'EFI/BOOT/BOOTX64.EFI'
/** As far as it is looked at: a SEQUENCE with a version. */
const SIGNATURE = Buffer.from('3003020101', 'hex')
const write = (value: string): Uint8Array =>
  writeAuthenticatedWrite({ timestamp: efiTime(new Date(0)), signature: SIGNATURE, payload: Buffer.from(value) })
const keys: Files = {
  'loader/keys/auto/db.auth': write('new db'),
  'loader/keys/auto/KEK.auth': write('new KEK'),
  'loader/keys/auto/PK.auth': write('new PK'),
}
const stored = [
  {
    name: 'db',
    vendorGuid: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
    attributes: 0x27,
    data: Buffer.from('old db'),
    monotonicCount: 0n,
    timestamp: new Uint8Array(16),
    publicKeyIndex: 0,
  },
]

function enrolled(files: Files): string[] | undefined {
  const variables = selfEnrolledVariables(diskOf(bootDisk({ esp: files })), stored)
  return variables?.map(({ name, data }) => `${name}=${Buffer.from(data).toString()}`)
}

describe('selfEnrolledVariables()', () => {
  it('are those that systemd-boot finds on the ESP, in place of what there is', () => {
    expect(enrolled({ [BOOT]: loader(), ...keys })).toEqual(['db=new db', 'KEK=new KEK', 'PK=new PK'])
    const forced = { [BOOT]: loader(), 'loader/loader.conf': 'secure-boot-enroll force\n', ...keys }
    expect(enrolled({ ...forced, 'loader/keys/auto/dbx.auth': write('new dbx') })).toContain('dbx=new dbx')
  })

  it('are none without systemd-boot, without one of the keys, and where loader.conf says no', () => {
    expect(enrolled({ [BOOT]: uki(), ...keys })).toBeUndefined()
    expect(enrolled(keys)).toBeUndefined()
    const { 'loader/keys/auto/KEK.auth': _, ...incomplete } = keys
    expect(enrolled({ [BOOT]: loader(), ...incomplete })).toBeUndefined()
    for (const policy of ['off', 'manual']) {
      const conf = `secure-boot-enroll ${policy}\n`
      expect(enrolled({ [BOOT]: loader(), 'loader/loader.conf': conf, ...keys })).toBeUndefined()
    }
  })

  it('are MALFORMED_INPUT where a file is no signed write', () => {
    const broken = { ...keys, 'loader/keys/auto/PK.auth': Buffer.from('PK') }
    expect(() => enrolled({ [BOOT]: loader(), ...broken })).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT' }),
    )
  })
})
