import { createPublicKey, verify, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { signCms } from './cms.ts'
import { makeAuthorityKeys, makeSigner, pem, signJwt } from './signer.ts'

const signer = makeSigner(makeAuthorityKeys())
const AT = Date.UTC(2026, 4, 5, 6, 7, 8)
const DATA = Buffer.from('{"what": "data\r\nof two lines"}')

describe('makeSigner()', () => {
  it('makes an authority that certifies itself, and identities that it certifies', () => {
    const authority = new X509Certificate(signer.authority.certificate)
    expect(authority.ca).toBe(true)
    expect(authority.verify(authority.publicKey)).toBe(true)
    for (const kind of ['rsa', 'dsa'] as const) {
      const leaf = new X509Certificate(signer.identity('metadata.example', kind).certificate)
      expect(leaf.subject).toBe('O=Bootwright\nCN=metadata.example')
      expect(leaf.ca).toBe(false)
      expect(leaf.checkIssued(authority)).toBe(true)
      expect(leaf.verify(authority.publicKey)).toBe(true)
      expect(leaf.checkPrivateKey(signer.identity('metadata.example', kind).privateKey)).toBe(true)
    }
  })

  it('gives one name one identity, and other names others', () => {
    expect(signer.identity('a')).toBe(signer.identity('a'))
    expect(signer.identity('a').certificate).not.toEqual(signer.identity('b').certificate)
  })

  it('rotates the keys of identities, and stays the same authority', () => {
    const rotated = makeSigner(makeAuthorityKeys())
    const { authority } = rotated
    const token = () => signJwt(rotated.identity('a'), { aud: 'x' })
    const [before, old] = [token(), rotated.identity('a')]
    rotated.rotate()
    expect(rotated.authority).toBe(authority)
    const fresh = new X509Certificate(rotated.identity('a').certificate)
    expect(fresh.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true)
    expect(fresh.checkPrivateKey(old.privateKey)).toBe(false)
    expect(token().split('.')[0]).not.toBe(before.split('.')[0])
  })
})

it('signJwt() signs header and claims', () => {
  const identity = signer.identity('accounts.example')
  const [header = '', claims = '', signature = ''] = signJwt(identity, { aud: 'x' }).split('.')
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toEqual({ aud: 'x' })
  expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: 'RS256', typ: 'JWT' })
  const key = createPublicKey(pem(identity.certificate))
  const check = (text: string) => verify('sha256', Buffer.from(text), key, Buffer.from(signature, 'base64url'))
  expect(check(`${header}.${claims}`)).toBe(true)
  expect(check(`${header}.${claims}x`)).toBe(false)
})

describe('signCms(), as openssl sees it', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-cms-'))
    await writeFile(join(directory, 'ca.pem'), pem(signer.authority.certificate))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  async function verified(cms: Uint8Array, authority = 'ca.pem'): Promise<Buffer> {
    await writeFile(join(directory, 'cms.der'), cms)
    const [input, out] = [join(directory, 'cms.der'), join(directory, 'out')]
    await run({
      // biome-ignore format: an option and its value on one line
      argv: ['openssl', 'cms', '-verify', '-binary', '-inform', 'DER', '-in', input,
        '-purpose', 'any', '-CAfile', join(directory, authority), '-out', out],
    })
    const { readFile } = await import('node:fs/promises')
    return readFile(out)
  }

  it.for([
    ['rsa', 'sha256'],
    ['rsa', 'sha1'],
    ['dsa', 'sha1'],
  ] as const)('holds with %s and %s, under the authority', async ([kind, digest]) => {
    const cms = signCms(signer.identity('metadata.example', kind), DATA, { digest, signedAtMs: AT })
    expect(await verified(cms)).toEqual(DATA)
  })

  it('breaks with any other data, and under another authority', async () => {
    const cms = signCms(signer.identity('metadata.example'), DATA, { digest: 'sha256', signedAtMs: AT })
    const changed = Buffer.from(cms)
    changed[cms.indexOf('data')] = 0x44
    await expect(verified(changed)).rejects.toThrow()
    await writeFile(join(directory, 'other.pem'), pem(makeSigner().authority.certificate))
    await expect(verified(cms, 'other.pem')).rejects.toThrow()
  })
})
