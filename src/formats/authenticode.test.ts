import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { damaged, expectResultOrMalformed, garbage } from './garbage.test-support.ts'
import { parseAuthenticodeSignature, parseCertificateNames, parsePe, peCertificates } from './index.ts'

const FIXTURES = join(import.meta.dirname, '../measure/prediction/firmware/fixtures/secure-boot')
const image = readFileSync(join(FIXTURES, 'signed-by-two.efi'))
const [first, second] = peCertificates(parsePe(image), image)
const signature = Buffer.from(first?.content ?? [])

describe('peCertificates()', () => {
  it('reads each certificate of the table, and none of an unsigned file', () => {
    expect([first, second].map((one) => [one?.type, one?.revision, one?.offset])).toEqual([
      [2, 0x200, 1536 + 8],
      [2, 0x200, 1536 + 2384 + 8],
    ])
    const plain = readFileSync(join(FIXTURES, 'plain.efi'))
    expect(peCertificates(parsePe(plain), plain)).toEqual([])
  })

  it.for([
    [7, 'dwLength at offset 1536: is 7'],
    [0xffff, 'bCertificate at offset 1544'],
  ] as const)('rejects a length of %i', ([length, message]) => {
    const copy = Buffer.from(image)
    copy.writeUInt32LE(length, 1536)
    expect(() => peCertificates(parsePe(copy), copy)).toThrow(message)
  })
})

describe('parseAuthenticodeSignature()', () => {
  it('reads what sbsign wrote', () => {
    const parsed = parseAuthenticodeSignature(signature)
    expect(parsed.digestAlgorithm).toBe('2.16.840.1.101.3.4.2.1')
    // The digest that sbsign and two other programs compute of the image.
    expect(Buffer.from(parsed.imageDigest).toString('hex')).toBe(
      '8c1172d69394406e105800586897c44685970cb7bc3704df13712b2fd703e890',
    )
    expect(parsed.certificates.map((bytes) => new X509Certificate(bytes).subject)).toEqual([
      'CN=Test leaf',
      'CN=Test intermediate',
    ])
    const [signer] = parsed.signers
    expect(signer).toMatchObject({
      digestAlgorithm: '2.16.840.1.101.3.4.2.1',
      signatureAlgorithm: '1.2.840.113549.1.1.1',
    })
    expect(signer?.signature).toHaveLength(256)
    expect(signer?.signedAttributes?.[0]).toBe(0x31)
    expect(signer?.messageDigest).toHaveLength(32)
  })

  it('reads signed data without ContentInfo around it', () => {
    const whole = parseAuthenticodeSignature(signature)
    // ContentInfo: 4 bytes of header, 11 of the type, 4 of the context tag.
    const bare = parseAuthenticodeSignature(signature.subarray(4 + 11 + 4), 19)
    expect(Buffer.from(bare.imageDigest).equals(whole.imageDigest)).toBe(true)
    expect(bare.signers).toHaveLength(1)
  })

  it('names the field that is of another kind, with its offset in the file', () => {
    const copy = Buffer.from(signature)
    const type = copy.indexOf(Buffer.from('060a2b060104018237020104', 'hex'))
    copy[type + 11] = 5
    expect(() => parseAuthenticodeSignature(copy, 1544)).toThrow(
      `contentType at offset ${1544 + type}: is 1.3.6.1.4.1.311.2.1.5, expected 1.3.6.1.4.1.311.2.1.4`,
    )
  })

  it('rejects every truncation', () => {
    const { byteLength } = parseAuthenticodeWhole()
    for (let length = 0; length < byteLength; length += 3) {
      expect(expectResultOrMalformed(() => parseAuthenticodeSignature(signature.subarray(0, length)))).toBe('malformed')
    }
  })

  it('gives a result or an error with an offset for whatever bytes', () => {
    const outcomes = new Set<string>()
    for (let seed = 1; seed <= 500; seed++) {
      outcomes.add(expectResultOrMalformed(() => parseAuthenticodeSignature(damaged(signature, seed))))
      expectResultOrMalformed(() => parseAuthenticodeSignature(garbage(seed, seed)))
      expectResultOrMalformed(() => parseCertificateNames(garbage(seed, seed)))
    }
    expect(outcomes).toEqual(new Set(['result', 'malformed']))
  })
})

/** The signature without the zeros that fill its certificate up. */
function parseAuthenticodeWhole(): Uint8Array {
  return signature.subarray(0, 4 + signature.readUInt16BE(2))
}

it('parseCertificateNames() agrees with OpenSSL', () => {
  const bytes = readFileSync(join(FIXTURES, 'leaf.der'))
  const names = parseCertificateNames(bytes)
  expect(Buffer.from(names.serialNumber).toString('hex').toUpperCase()).toBe(new X509Certificate(bytes).serialNumber)
  expect(Buffer.from(names.issuer).includes('Test intermediate')).toBe(true)
  expect(Buffer.from(names.toBeSigned).includes('Test leaf')).toBe(true)
})
