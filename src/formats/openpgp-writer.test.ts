import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import {
  isOwnOpenPgpSignature,
  type OpenPgpKey,
  openPgpFingerprint,
  openPgpPublicKey,
  openPgpSignature,
} from './openpgp-writer.ts'

const CREATED = new Date('2026-01-02T03:04:05Z')
const SIGNED = new Date('2026-02-03T04:05:06Z')
const DOCUMENT = Buffer.from('a document\n')

const newKey = (userId = 'Somebody <somebody@example.org>'): OpenPgpKey => {
  return { privateKey: generateKeyPairSync('ed25519').privateKey, createdAt: CREATED, userId }
}

/** The key of RFC 9580, A.1: every signature of it is always the same. */
const RFC_KEY: OpenPgpKey = {
  privateKey: createPrivateKey({
    key: Buffer.from(
      '302e020100300506032b6570042204201a8b1ff05ded48e18bf50166c664ab023ea70003d78d9e41f5758a91d850f8d2',
      'hex',
    ),
    format: 'der',
    type: 'pkcs8',
  }),
  createdAt: new Date(0x53f35f0b * 1000),
  userId: 'RFC 9580',
}

it('openPgpFingerprint() is what the RFC says', () => {
  expect(openPgpFingerprint(RFC_KEY)).toBe('C959BDBAFA32A2F89A153B678CFDE12197965A9A')
})

describe('GnuPG', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bw-openpgp-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  async function verify(keyring: Uint8Array, document: Uint8Array, signature: Uint8Array) {
    const [ring, text, signed] = ['ring.pgp', 'document', 'signature'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeFile(ring, keyring)
    await writeFile(text, document)
    await writeFile(signed, signature)
    return runUnchecked({ argv: ['gpgv', '--status-fd=1', `--keyring=${ring}`, signed, text] })
  }

  // Both halves of a signature are numbers, and one in 128 is shorter than the others.
  it('takes a signature of any length', async () => {
    const key = RFC_KEY
    const ring = openPgpPublicKey(key)
    let shorter = 0
    for (let count = 0; count < 600; count++) {
      const document = Buffer.from(`document ${count}`)
      const signature = openPgpSignature(key, document, SIGNED)
      expect(isOwnOpenPgpSignature(key, document, signature)).toBe(true)
      const isShort = signature.length < openPgpSignature(key, DOCUMENT, SIGNED).length
      if (isShort) shorter++
      if (!isShort && count > 0) continue
      const { exitCode, stdout } = await verify(ring, document, signature)
      expect(stdout).toContain(`VALIDSIG ${openPgpFingerprint(key)} 2026-02-03 `)
      expect(exitCode).toBe(0)
    }
    expect(shorter).toBeGreaterThan(0)
  })

  it('refuses one of another document, of another key, and one with a bit flipped', async () => {
    const key = newKey()
    const ring = openPgpPublicKey(key)
    const signature = openPgpSignature(key, DOCUMENT, SIGNED)
    expect((await verify(ring, Buffer.from('another\n'), signature)).stdout).toContain('BADSIG')
    expect((await verify(openPgpPublicKey(newKey()), DOCUMENT, signature)).stdout).toContain('NO_PUBKEY')
    const flipped = Buffer.from(signature)
    flipped[flipped.length - 5] = (flipped[flipped.length - 5] ?? 0) ^ 1
    expect((await verify(ring, DOCUMENT, flipped)).stdout).toContain('BADSIG')
    for (const [name, one] of Object.entries({ flipped, none: Buffer.alloc(0), cut: signature.subarray(0, 20) })) {
      expect([name, isOwnOpenPgpSignature(key, DOCUMENT, one)]).toEqual([name, false])
    }
    expect(isOwnOpenPgpSignature(key, Buffer.from('another\n'), signature)).toBe(false)
  })

  it('finds the user ID signed by its key, also a long one', async () => {
    const key = newKey('x'.repeat(300))
    const ring = join(directory, 'key.pgp')
    await writeFile(ring, openPgpPublicKey(key))
    const { stdout } = await runUnchecked({
      argv: ['gpg', `--homedir=${directory}`, '--no-default-keyring', '--with-colons', '--show-keys', ring],
    })
    expect(stdout).toMatch(new RegExp(`^fpr:+${openPgpFingerprint(key)}:`, 'm'))
    expect(stdout).toMatch(/^uid:.*:x{300}:/m)
  })
})
