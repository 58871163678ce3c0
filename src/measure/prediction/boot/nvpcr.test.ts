import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { nvpcrWord, predictBoot, SYSTEMD_NVPCRS } from '../../index.ts'
import { machineWith, uki } from './boot-disk.test-support.ts'

const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
const sha256 = (hex: string): string => createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex')

/** The same from the formulas of the TPM specification, in hexadecimal. */
function nvName(index: string, attributes: string): string {
  const modulus = Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url').toString('hex')
  const keyName = `000b${sha256(`0001000b0006004000000010001008000001000101 00${modulus}`.replace(' ', ''))}`
  const none = '00'.repeat(32)
  const reference = createHash('sha256').update('initrd').digest('hex')
  const authorize = sha256(sha256(`${none}0000016a${keyName}`) + reference)
  const written = sha256(`${none}0000018f01`)
  const policy = sha256(`${none}00000171${authorize}${written}`)
  return `000b${sha256(`${index}000b${attributes}0020${policy}0020`)}`
}

describe('nvpcrWord()', () => {
  it('has the name of the NV index, written, orderly or not', () => {
    const [verity, hardware] = SYSTEMD_NVPCRS.map((nvpcr) => nvpcrWord(nvpcr, Buffer.from(pem)))
    expect(verity).toBe(`nvpcr-init:verity:0x1d10202:${nvName('01d10202', '2c060048')}`)
    expect(hardware).toBe(`nvpcr-init:hardware:0x1d10200:${nvName('01d10200', '28060048')}`)
  })

  it('refuses other keys', () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' })
    for (const key of [ec.toString(), '', 'no key']) {
      expect(() => nvpcrWord(SYSTEMD_NVPCRS[0] as never, Buffer.from(key))).toThrow(
        expect.objectContaining({ code: 'MALFORMED_INPUT' }),
      )
    }
  })
})

describe('NvPCRs in PCR 9', () => {
  const records = (more: [string, string][], version = 262): string[] =>
    predictBoot({
      machine: machineWith({ esp: { 'EFI/BOOT/BOOTX64.EFI': uki({ version, more }) } }),
      system: { nvpcrs: SYSTEMD_NVPCRS.slice(0, 1) },
      banks: ['sha256'],
    }).events.flatMap(({ pcr, type, measured }) => {
      if (pcr !== 9 || type !== 'word') return []
      return [
        measured.kind === 'bytes' ? Buffer.from(measured.bytes).toString().slice(0, 30) : JSON.stringify(measured),
      ]
    })

  it('are known with the key of the UKI, behind the separator', () => {
    expect(records([['.pcrpkey', pem]])).toEqual(['os-separator', 'nvpcr-init:verity:0x1d10202:00', 'nvpcr-separator'])
  })

  it('are not without it, and not before systemd 262', () => {
    expect(records([])[1]).toContain('the UKI has no .pcrpkey')
    expect(records([['.pcrpkey', pem]], 260)).toEqual([
      expect.stringContaining('a secret of this TPM'),
      'nvpcr-separator',
    ])
  })
})
