import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type EfiSignatureKind,
  type EfiSignatureList,
  efiSignatureType,
  parseCertificateNames,
  parseEfiSignatureLists,
  parsePe,
  peCertificates,
  type WinCertificate,
} from '../../../formats/index.ts'
import {
  authorityEvents,
  eventTypeName,
  type ImageVerdict,
  judgeImage,
  type SecureBootState,
  type SignedImage,
} from '../../index.ts'
import { garbage } from '../../log-writer.test-support.ts'
import { authenticodeDigests } from './authenticode.test-support.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures/secure-boot')
const OWNER = '77fa9abd-0359-4d32-bd60-28f4e78f784b'
const read = (name: string): Buffer => readFileSync(join(FIXTURES, name))
const [root, intermediate, leaf, other] = ['root', 'intermediate', 'leaf', 'other'].map((name) => read(`${name}.der`))

function imageOf(file: Uint8Array): SignedImage {
  return { certificates: peCertificates(parsePe(file), file), digests: authenticodeDigests(file) }
}
const unsigned = imageOf(read('plain.efi'))
const signed = imageOf(read('signed-by-leaf.efi'))
const signedTwice = imageOf(read('signed-by-two.efi'))

function list(kind: EfiSignatureKind, ...data: (Uint8Array | undefined)[]): EfiSignatureList[] {
  return data.map((one = new Uint8Array()) => ({
    type: efiSignatureType(kind),
    header: new Uint8Array(),
    signatureSize: 16 + one.byteLength,
    signatures: [{ owner: OWNER, data: one }],
  }))
}
const sha256Of = (image: SignedImage): Uint8Array => image.digests.get('sha256') ?? new Uint8Array()
const hashOf = (image: SignedImage): EfiSignatureList[] => list('sha256', sha256Of(image))

function enabled(db: EfiSignatureList[], dbx: EfiSignatureList[] = []): SecureBootState {
  return { mode: 'enabled', db, dbx }
}

/** `allowed db-certificate CN=Test root`. */
function inWords(verdict: ImageVerdict): string {
  const { verdict: word, by } = verdict
  if ('why' in verdict) return `${word} ${by}: ${verdict.why}`
  if (!('entry' in verdict)) return `${word} ${by}`
  return by.endsWith('-certificate')
    ? `${word} ${by} ${new X509Certificate(verdict.entry.data).subject}`
    : `${word} ${by}`
}

/** An x509-sha256 entry: digest of TBSCertificate, then the time of its revocation. */
function revocation(certificate: Uint8Array | undefined): EfiSignatureList[] {
  const { toBeSigned } = parseCertificateNames(certificate ?? new Uint8Array())
  const digest = createHash('sha256').update(toBeSigned).digest()
  return list('x509-sha256', Buffer.concat([digest, Buffer.alloc(16)]))
}

describe('judgeImage()', () => {
  it.for(['unsupported', 'setup-mode', 'disabled'] as const)('lets everything pass when Secure Boot is %s', (mode) => {
    const state = { mode, db: [], dbx: hashOf(unsigned) }
    expect(inWords(judgeImage(unsigned, state))).toBe('allowed no-secure-boot')
  })

  it.for([
    ['the root', list('x509', root), 'allowed db-certificate CN=Test root'],
    ['the intermediate', list('x509', intermediate), 'allowed db-certificate CN=Test intermediate'],
    ['the leaf itself', list('x509', leaf), 'allowed db-certificate CN=Test leaf'],
    ['the first of several', list('x509', other, intermediate, root), 'allowed db-certificate CN=Test intermediate'],
    ['its hash', hashOf(signed), 'allowed db-hash'],
    [
      'a certificate rather than its hash',
      [...hashOf(signed), ...list('x509', root)],
      'allowed db-certificate CN=Test root',
    ],
    ['nobody it knows', list('x509', other), 'refused not-in-db: no certificate of its signature is in db'],
    ['nobody', [], 'refused not-in-db: no certificate of its signature is in db'],
    [
      'what is no certificate',
      list('x509', Buffer.from('no')),
      'refused not-in-db: no certificate of its signature is in db',
    ],
  ] as const)('asks db for the chain of a signature: it has %s', ([_, db, words]) => {
    expect(inWords(judgeImage(signed, enabled([...db])))).toBe(words)
  })

  it.for([
    ['the root', list('x509', root), 'refused dbx-certificate CN=Test root'],
    ['the leaf', list('x509', leaf), 'refused dbx-certificate CN=Test leaf'],
    ['the digest of the root, which is in db', revocation(root), 'refused dbx-certificate-hash'],
    ['the digest of a certificate between them', revocation(intermediate), 'allowed db-certificate CN=Test root'],
    ['the digest of the leaf', revocation(leaf), 'refused dbx-certificate-hash'],
    ['the hash of the image', hashOf(signed), 'refused dbx-hash'],
    ['someone else', [...list('x509', other), ...revocation(other)], 'allowed db-certificate CN=Test root'],
  ] as const)('asks dbx first: it has %s', ([_, dbx, words]) => {
    expect(inWords(judgeImage(signed, enabled(list('x509', root), [...dbx])))).toBe(words)
  })

  it('does not look for another certificate when the first one that fits is revoked', () => {
    const db = list('x509', intermediate, root)
    expect(inWords(judgeImage(signed, enabled(db, revocation(intermediate))))).toBe('refused dbx-certificate-hash')
    expect(inWords(judgeImage(signed, enabled([...db, ...hashOf(signed)], revocation(intermediate))))).toBe(
      'allowed db-hash',
    )
  })

  it('refuses a signature without the certificate of its signer', () => {
    const [certificate] = signed.certificates
    const copy = Buffer.from(certificate?.content ?? [])
    const serialNumber = Buffer.from(parseCertificateNames(leaf ?? Buffer.of()).serialNumber)
    const at = copy.lastIndexOf(serialNumber)
    copy[at + 5] = (copy[at + 5] ?? 0) ^ 1
    const nobody: SignedImage = { ...signed, certificates: [{ ...(certificate as WinCertificate), content: copy }] }
    expect(inWords(judgeImage(nobody, enabled(list('x509', root, leaf))))).toBe(
      'refused not-in-db: its signature lacks the certificate of its signer',
    )
  })

  it('lets an unsigned image pass by its hash alone', () => {
    expect(inWords(judgeImage(unsigned, enabled(list('x509', root))))).toBe('refused not-in-db: it is not signed')
    expect(inWords(judgeImage(unsigned, enabled(hashOf(unsigned))))).toBe('allowed db-hash')
    expect(inWords(judgeImage(unsigned, enabled(hashOf(unsigned), hashOf(unsigned))))).toBe('refused dbx-hash')
  })

  it('goes through all signatures: one that is known is enough, one that is forbidden is too much', () => {
    expect(inWords(judgeImage(signedTwice, enabled(list('x509', other))))).toBe('allowed db-certificate CN=Other')
    expect(inWords(judgeImage(signedTwice, enabled(list('x509', root))))).toBe('allowed db-certificate CN=Test root')
    expect(inWords(judgeImage(signedTwice, enabled(list('x509', root), list('x509', other))))).toBe(
      'refused dbx-certificate CN=Other',
    )
  })

  it('refuses an image of which one byte was flipped, anywhere that counts', () => {
    const file = read('signed-by-leaf.efi')
    const table = parsePe(file).certificateTable
    for (const offset of [0x30, 0x88, 0x180, 0x400, 0x5ff]) {
      const copy = Buffer.from(file)
      copy[offset] = (copy[offset] ?? 0) ^ 1
      expect(inWords(judgeImage(imageOf(copy), enabled(list('x509', root)))), `at ${offset}`).toBe(
        'refused not-in-db: it was changed after it was signed',
      )
    }
    // The last bytes of the signed data are the signature's; behind them the certificate is filled up with zeros.
    const signature = Buffer.from(file)
    const last = (table?.offset ?? 0) + 8 + 4 + file.readUInt16BE((table?.offset ?? 0) + 8 + 2) - 1
    signature[last] = (signature[last] ?? 0) ^ 1
    expect(inWords(judgeImage(imageOf(signature), enabled(list('x509', root))))).toBe(
      'refused not-in-db: no certificate of its signature is in db',
    )
  })

  it('finds no way from a chain whose intermediate is not what issued the leaf', () => {
    const [certificate] = signed.certificates
    const copy = Buffer.from(certificate?.content ?? [])
    const at = copy.indexOf(intermediate ?? Buffer.of())
    expect(at).toBeGreaterThan(0)
    const last = at + (intermediate?.byteLength ?? 0) - 1
    copy[last] = (copy[last] ?? 0) ^ 1
    const forged: SignedImage = { ...signed, certificates: [{ ...(certificate as WinCertificate), content: copy }] }
    expect(inWords(judgeImage(forged, enabled(list('x509', root))))).toMatch(/^refused not-in-db/)
    expect(inWords(judgeImage(forged, enabled(list('x509', intermediate))))).toMatch(/^allowed db-certificate/)
  })

  it("judges Debian's shim by Microsoft's db: the first certificate that fits", () => {
    const db = parseEfiSignatureLists(read('microsoft-db.bin'))
    const table = read('shim-certificate-table.bin')
    const pe = { ...parsePe(read('plain.efi')), certificateTable: { offset: 0, size: table.byteLength } }
    const digest = Buffer.from('80a66d53a945d2286fcadd780fae1c225aa732079cd67b5225dc78aaab4e2ff8', 'hex')
    const shim: SignedImage = { certificates: peCertificates(pe, table), digests: new Map([['sha256', digest]]) }
    const verdict = judgeImage(shim, enabled(db))
    expect(inWords(verdict).split('\n').at(-1)).toBe('CN=Microsoft Corporation UEFI CA 2011')
    const newer = db.filter(
      ({ signatures }) => !(verdict.verdict === 'allowed' && 'entry' in verdict && signatures.includes(verdict.entry)),
    )
    expect(
      inWords(judgeImage(shim, enabled(newer)))
        .split('\n')
        .at(-1),
    ).toBe('CN=Microsoft UEFI CA 2023')
    expect(judgeImage(shim, enabled(db, list('sha256', digest)))).toMatchObject({ by: 'dbx-hash' })
    expect(judgeImage(signed, enabled(db))).toMatchObject({ verdict: 'refused', by: 'not-in-db' })
  })

  it('takes damaged signatures for none, whatever they are', () => {
    const [certificate] = signed.certificates
    const state = enabled(list('x509', root))
    for (let seed = 1; seed <= 200; seed++) {
      const content = Buffer.from(certificate?.content ?? [])
      for (const [index, byte] of garbage(seed, 8).entries()) content[(seed * 37 + index * 251) % content.length] = byte
      for (const bytes of [content, garbage(seed, seed)]) {
        const image = { ...signed, certificates: [{ ...(certificate as WinCertificate), content: bytes }] }
        expect(['allowed', 'refused']).toContain(judgeImage(image, state).verdict)
      }
    }
  })
})

describe('authorityEvents()', () => {
  it('measures the entry of db once, whatever number of images it lets pass', () => {
    const state = enabled([...list('x509', root), ...hashOf(unsigned)])
    const events = authorityEvents([signed, signedTwice, unsigned, signed].map((image) => judgeImage(image, state)))
    expect(events.map(({ pcr, type }) => [pcr, eventTypeName(Number(type))])).toEqual([
      [7, 'EV_EFI_VARIABLE_AUTHORITY'],
      [7, 'EV_EFI_VARIABLE_AUTHORITY'],
    ])
    const data = Buffer.from(events[0]?.data ?? [])
    // UEFI_VARIABLE_DATA: GUID, length of "db" in UTF-16 units, length of the entry, "db", owner, certificate.
    expect(data.byteLength).toBe(16 + 8 + 8 + 4 + 16 + (root?.byteLength ?? 0))
    expect(data.subarray(0, 16).toString('hex')).toBe('cbb219d73a3d9645a3bcdad00e67656f')
    expect(data.readBigUInt64LE(16)).toBe(2n)
    expect(data.readBigUInt64LE(24)).toBe(BigInt(16 + (root?.byteLength ?? 0)))
    expect(data.subarray(32, 36).toString('utf16le')).toBe('db')
    expect(data.subarray(52).equals(root ?? Buffer.of())).toBe(true)
    expect(events[0]?.measured).toEqual({ kind: 'bytes', bytes: events[0]?.data })
  })

  it('measures a certificate of dbx that forbids an image, and nothing else of a refusal', () => {
    const verdicts = [list('x509', root), revocation(leaf), hashOf(signed)].map((dbx) =>
      judgeImage(signed, enabled(list('x509', root), dbx)),
    )
    const events = authorityEvents([...verdicts, judgeImage(unsigned, enabled([]))])
    expect(events.map(({ what }) => what)).toEqual(['entry of dbx that forbids an image'])
    expect(authorityEvents([judgeImage(signed, { mode: 'disabled', db: [], dbx: [] })])).toEqual([])
  })
})
