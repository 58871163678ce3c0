import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { createAttestationKey } from './attestation-key.ts'
import { CERTIFICATE_FILE, type EndorsementAuthority, endorsementAuthority } from './authority.ts'
import { makeCredential } from './credential.ts'
import { activateCredential, createEndorsementKey, readEndorsementCertificate } from './endorsement.ts'
import { certifies, endorsementCertificate, endorsementProblems } from './endorsement-certificate.ts'
import type { TpmSend } from './execute.ts'
import { withTpm } from './standalone.ts'
import { manufactureTpm } from './swtpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const SECRET = Buffer.from('for this TPM alone')

describe.skipIf(toolchain === undefined)('the endorsement key of a TPM (needs the tools: ./bootwright setup)', () => {
  let directory: string
  let authority: EndorsementAuthority

  const using = <T>(name: string, use: (send: TpmSend) => Promise<T>): Promise<T> =>
    withTpm(toolchain, join(directory, name), join(directory, `${name}.log`), use)

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-endorsement-'))
    authority = await endorsementAuthority(toolchain)
    for (const name of ['one', 'two']) await manufactureTpm(toolchain, join(directory, name), ['sha256'])
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('is certified by the authority, and the host knows the certificate without asking', async () => {
    await using('one', async (send) => {
      const der = await readEndorsementCertificate(send)
      const certificate = new X509Certificate(der)
      expect(endorsementProblems(certificate, authority)).toEqual([])
      expect(certifies(certificate, (await createEndorsementKey(send)).publicKey)).toBe(true)
      const known = new X509Certificate(await readFile(join(directory, 'one', CERTIFICATE_FILE)))
      expect(known.raw).toEqual(der)
      const other = new X509Certificate(await readFile(join(directory, 'two', CERTIFICATE_FILE)))
      expect(other.raw).not.toEqual(der)
      expect(certifies(other, (await createEndorsementKey(send)).publicKey)).toBe(false)
    })
  })

  it('is not taken for certified by anybody else, too early, or by what is no such certificate', async () => {
    const certificate = new X509Certificate(await readFile(join(directory, 'one', CERTIFICATE_FILE)))
    const { issuer, root } = authority
    expect(endorsementProblems(certificate, { issuer: root, root })).toContain('it is not signed by the issuer')
    expect(endorsementProblems(certificate, authority, new Date(0))).toContain(
      'it is not valid at 1970-01-01T00:00:00.000Z',
    )
    expect(endorsementProblems(issuer, { issuer: root, root })).toEqual([
      'it is the certificate of an authority',
      'it is not for an endorsement key',
    ])
    expect(endorsementProblems(certificate, { issuer: certificate, root })).toContain('one that signs is no authority')
    const forged = Buffer.from(certificate.raw)
    forged[forged.length - 9] = (forged[forged.length - 9] ?? 0) ^ 1
    expect(endorsementProblems(new X509Certificate(forged), authority)).toEqual(['it is not signed by the issuer'])
    expect(endorsementCertificate(Buffer.from('no certificate'))).toBeUndefined()
  })

  it('opens what was made for it and for a key beside it, and nothing else', async () => {
    await using('one', async (send) => {
      const endorsement = await createEndorsementKey(send)
      const attestation = await createAttestationKey(send)
      const keys = { attestation: attestation.handle, endorsement: endorsement.handle }
      const right = makeCredential(endorsement.publicKey, attestation.name, SECRET)
      expect(await activateCredential(send, keys, right)).toEqual(SECRET)
      const anotherName = Buffer.from(attestation.name)
      anotherName[9] = (anotherName[9] ?? 0) ^ 1
      const forAnotherKey = makeCredential(endorsement.publicKey, anotherName, SECRET)
      await expect(activateCredential(send, keys, forAnotherKey)).rejects.toThrow('TPM_RC_INTEGRITY')
    })
    await using('two', async (send) => {
      const other = await createEndorsementKey(send)
      const attestation = await createAttestationKey(send)
      const one = new X509Certificate(await readFile(join(directory, 'one', CERTIFICATE_FILE)))
      const forOne = makeCredential(one.publicKey.export({ format: 'jwk' }), attestation.name, SECRET)
      const keys = { attestation: attestation.handle, endorsement: other.handle }
      await expect(activateCredential(send, keys, forOne)).rejects.toMatchObject({ code: 'TPM_REFUSED' })
    })
  })
})
