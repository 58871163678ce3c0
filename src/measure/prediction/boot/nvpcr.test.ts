import { createHash, generateKeyPairSync } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { newcArchive } from '../../../formats/index.ts'
import { definedNvpcrs, nvpcrWord, predictBoot, SYSTEMD_NVPCRS } from '../../index.ts'
import { machineWith, uki } from './boot-disk.test-support.ts'
import type { BootedSystem } from './input.ts'

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

/** Those of systemd 262, as its package has them. */
const DEFINITIONS: Readonly<Record<string, unknown>> = {
  hardware: { name: 'hardware', algorithm: 'sha256', nvIndex: 0x01d10200, priority: 500, orderly: false },
  cryptsetup: { name: 'cryptsetup', algorithm: 'sha256', nvIndex: 0x01d10201, priority: 700 },
  login: { name: 'login', algorithm: 'sha256', nvIndex: 0x01d10203, priority: 800 },
  verity: { name: 'verity', algorithm: 'sha256', nvIndex: 0x01d10202, priority: 300 },
}

function initrd(definitions: Readonly<Record<string, unknown>>, directory = 'usr/lib/nvpcr'): Uint8Array {
  const files = Object.entries(definitions).map(([name, content]) => ({
    name: `${name}.nvpcr`,
    content: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
  }))
  return zstdCompressSync(newcArchive({ directory, directoryMode: 0o755, fileMode: 0o644 }, files))
}

describe('definedNvpcrs()', () => {
  it('has those of the initrd, by priority', () => {
    expect(definedNvpcrs(initrd(DEFINITIONS))).toMatchObject(SYSTEMD_NVPCRS)
    expect(definedNvpcrs(initrd({}))).toEqual([])
  })

  it('takes the definition in /etc before that of the distribution', () => {
    const own = { name: 'hardware', nvIndex: 0x01d10299 }
    const both = Buffer.concat([initrd({ hardware: own }, 'etc/nvpcr'), initrd(DEFINITIONS)])
    expect(definedNvpcrs(both).at(-1)).toMatchObject({ name: 'hardware', nvIndex: 0x01d10299, isOrderly: true })
    expect(definedNvpcrs(both)).toHaveLength(4)
  })

  it.for([
    ['no JSON', '{"name"', 'expected a JSON object'],
    ['another thing', '[]', 'name at offset 0: expected a string, found undefined'],
    ['another algorithm', '{"name":"a","nvIndex":1,"algorithm":"sha512"}', 'expected sha256, found "sha512"'],
  ] as const)('refuses %s', ([, text, message]) => {
    expect(() => definedNvpcrs(initrd({ a: text }))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringContaining(message) }),
    )
  })
})

describe('NvPCRs in PCR 9', () => {
  const records = (more: [string, string][], version = 262): string[] =>
    wordsOf(uki({ version, more }), { nvpcrs: SYSTEMD_NVPCRS.slice(0, 1) })
  const wordsOf = (file: Buffer, system: BootedSystem): string[] =>
    predictBoot({
      machine: machineWith({ esp: { 'EFI/BOOT/BOOTX64.EFI': file } }),
      system,
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

  it('are those that the initrd defines, where the UKI has the key that their set-up needs', () => {
    const defined = { initrd: initrd(DEFINITIONS) }
    expect(wordsOf(uki({ ...defined, more: [['.pcrpkey', pem]] }), {})).toEqual([
      'os-separator',
      ...['verity:0x1d10202:00', 'hardware:0x1d10200:', 'cryptsetup:0x1d1020', 'login:0x1d10203:000'].map(
        (start) => `nvpcr-init:${start}`,
      ),
      'nvpcr-separator',
    ])
    expect(wordsOf(uki(defined), {})).toEqual(['os-separator', 'nvpcr-separator'])
    expect(wordsOf(uki({ more: [['.pcrpkey', pem]] }), {})).toEqual([
      'os-separator',
      expect.stringMatching(/what the initrd defines is not known: Cannot read initrd/),
      'nvpcr-separator',
    ])
  })
})
