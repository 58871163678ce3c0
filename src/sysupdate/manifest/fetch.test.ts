import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import { type TestKeys, testKeys } from './gnupg.test-support.ts'
import {
  addressOf,
  type FetchManifestOptions,
  fetchManifest,
  findKeyrings,
  type Keyring,
  SIGNATURE_NAMES,
} from './index.ts'

const HASH = createHash('sha256').update('x').digest('hex')
const MANIFEST = Buffer.from(`${HASH} *os_1.raw\n`)
const OTHER = Buffer.from(`${HASH} *os_2.raw\n`)
const LONG_AGO = '20200102T000000'

let keys: TestKeys
let ring: Keyring
let directory: string
let server: FileServer

beforeAll(async () => {
  keys = await testKeys()
  await keys.makeKey('good@test')
  await keys.makeKey('stranger@test')
  await keys.makeKey('old@test', { at: '20200101T000000', expires: '2020-02-01' })
  ring = { path: 'ring', bytes: await keys.publicKeys('good@test', 'old@test') }
})

afterAll(() => keys[Symbol.asyncDispose]())

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-manifest-'))
  await writeFile(join(directory, 'SHA256SUMS'), MANIFEST)
  server = await serveDirectory(directory)
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const put = (name: string, bytes: Uint8Array | string) => writeFile(join(directory, name), bytes)
const get = (options: Partial<FetchManifestOptions> = {}) =>
  fetchManifest(server.url, { keyrings: [ring], now: new Date(), retries: 0, ...options })
const untrusted = (reason: string) => ({ code: 'UPDATE_UNTRUSTED', detail: { reason } })

describe('fetchManifest()', () => {
  it.for(SIGNATURE_NAMES)('takes a signature called %s, armored and binary', async (name) => {
    for (const armor of [true, false]) {
      await put(name, await keys.sign('good@test', MANIFEST, { armor }))
      const fetched = await get()
      expect(fetched.entries).toEqual([{ name: 'os_1.raw', sha256: HASH }])
      expect(fetched.signature).toMatchObject({ name, signer: { hasExpired: false } })
      expect(fetched.signature?.signer.fingerprint).toMatch(/^[0-9A-F]{40}$/)
    }
    const asked = SIGNATURE_NAMES.slice(0, SIGNATURE_NAMES.indexOf(name) + 1).map((one) => `/${one}`)
    expect(server.requests.map(({ path }) => path).filter((path) => path !== '/SHA256SUMS')).toEqual([
      ...asked,
      ...asked,
    ])
  })

  it('refuses a manifest without a signature, and takes it where none is asked for', async () => {
    await expect(get()).rejects.toMatchObject(untrusted('no-signature'))
    expect(await get({ keyrings: undefined })).toMatchObject({ signature: undefined, entries: [{ name: 'os_1.raw' }] })
  })

  it.for<[string, () => Promise<Buffer | string>, RegExp]>([
    ['of another file', () => keys.sign('good@test', OTHER), /good@test" of the manifest is not good: it does not fit/],
    ['of an unknown key', () => keys.sign('stranger@test', MANIFEST), /its key is unknown/],
    ['of a key that has expired', () => keys.sign('old@test', MANIFEST, { at: LONG_AGO }), /its key has expired/],
    ['that is none', async () => 'garbage', /GnuPG found none in it/],
    ['that is empty', async () => '', /GnuPG found none in it/],
    ['in the text itself', async () => keys.gpg(['--local-user=good@test', '--clear-sign'], MANIFEST), /not good/],
  ])('refuses a signature %s', async ([, signature, message]) => {
    await put('SHA256SUMS.gpg', await signature())
    await expect(get()).rejects.toMatchObject({
      code: 'UPDATE_UNTRUSTED',
      message: expect.stringMatching(message),
      detail: { reason: 'signature' },
    })
  })

  it('refuses a signature of a key that was revoked', async () => {
    await using revoked = await testKeys()
    await revoked.makeKey('gone@test')
    await put('SHA256SUMS.gpg', await revoked.sign('gone@test', MANIFEST))
    const before = { path: 'ring', bytes: await revoked.publicKeys('gone@test') }
    expect((await get({ keyrings: [before] })).entries).toHaveLength(1)
    const listed = (await revoked.gpg(['--with-colons', '--list-keys', 'gone@test'])).toString()
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1]
    const { readFile } = await import('node:fs/promises')
    const file = join(revoked.home, 'openpgp-revocs.d', `${fingerprint}.rev`)
    await revoked.gpg(['--import'], Buffer.from((await readFile(file, 'utf8')).replace(':-----BEGIN', '-----BEGIN')))
    const after = { path: 'ring', bytes: await revoked.publicKeys('gone@test') }
    await expect(get({ keyrings: [after] })).rejects.toThrow('its key was revoked')
  })

  it('takes a signature of a key that has expired where the original would, and says so', async () => {
    await put('SHA256SUMS.gpg', await keys.sign('old@test', MANIFEST, { at: LONG_AGO }))
    const { signature } = await get({ acceptExpiredKeys: true })
    expect(signature?.signer).toMatchObject({ hasExpired: true, untrustedUserId: 'old@test' })
  })

  it('takes a manifest that an unknown key has signed as well: keys change', async () => {
    const both = [await keys.sign('stranger@test', MANIFEST), await keys.sign('good@test', MANIFEST)]
    for (const order of [both, both.toReversed()]) {
      await put('SHA256SUMS.gpg', Buffer.concat(order))
      expect((await get()).signature?.signer.untrustedUserId).toBe('good@test')
    }
  })

  it('asks once more when manifest and signature are of two releases', async () => {
    await put('SHA256SUMS.gpg', await keys.sign('good@test', OTHER))
    const pending = get()
    await put('SHA256SUMS', OTHER)
    expect((await pending.catch(() => get())).entries).toMatchObject([{ name: 'os_2.raw' }])
    await put('SHA256SUMS', MANIFEST)
    const before = server.requests.length
    await expect(get()).rejects.toMatchObject(untrusted('signature'))
    const manifests = server.requests.slice(before).filter(({ path }) => path === '/SHA256SUMS')
    expect(manifests).toHaveLength(2)
  })

  it('refuses a manifest that is stale, unless told not to look', async () => {
    const name = 'BEST-BEFORE-2026-01-31'
    const text = Buffer.from(`${MANIFEST}${createHash('sha256').digest('hex')}  ${name}\n`)
    await put('SHA256SUMS', text)
    await put('SHA256SUMS.gpg', await keys.sign('good@test', text))
    await expect(get({ now: new Date('2026-02-01T00:00:00Z') })).rejects.toMatchObject(untrusted('stale'))
    expect((await get({ now: new Date('2026-01-30T23:59:59Z') })).entries).toHaveLength(2)
    expect((await get({ now: undefined })).entries).toHaveLength(2)
  })

  it('refuses what is larger than a manifest or a signature may be', async () => {
    await put('SHA256SUMS.gpg', Buffer.alloc(1024 * 1024 + 1))
    await expect(get()).rejects.toMatchObject({ detail: { reason: 'too-large' } })
    await put('SHA256SUMS', Buffer.alloc(16 * 1024 * 1024 + 1))
    await expect(get({ keyrings: undefined })).rejects.toMatchObject({ detail: { reason: 'too-large' } })
    using _ = server.fail(parseServeFault('/SHA256SUMS endless'))
    await expect(get({ keyrings: undefined })).rejects.toMatchObject({ detail: { reason: 'too-large' } })
  })

  it('reads a manifest from the disk', async () => {
    await put('SHA256SUMS.asc', await keys.sign('good@test', MANIFEST, { armor: true }))
    const { entries } = await fetchManifest(`file://${directory}/`, { keyrings: [ring], now: new Date() })
    expect(entries).toHaveLength(1)
  })

  it('takes a new subkey that comes inside of the signature, from a primary key that it knows', async () => {
    const listed = (await keys.gpg(['--with-colons', '--list-keys', 'good@test'])).toString()
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? ''
    await keys.gpg(['--quick-add-key', fingerprint, 'ed25519', 'sign', 'never'])
    const embedded = await keys.gpg(
      ['--local-user=good@test', '--sender=good@test', '--include-key-block', '--detach-sign'],
      MANIFEST,
    )
    await put('SHA256SUMS.asc', embedded)
    expect((await get()).signature?.signer.fingerprint).toBe(fingerprint)
    const stranger = { path: 'ring', bytes: await keys.publicKeys('stranger@test') }
    await expect(get({ keyrings: [stranger] })).rejects.toMatchObject(untrusted('signature'))
  })
})

describe('findKeyrings()', () => {
  const LOCAL = 'etc/systemd/import-pubring.pgp'
  const LEGACY = 'etc/systemd/import-pubring.gpg'
  const VENDOR = 'usr/lib/systemd/import-pubring.pgp'

  it.for<[string[], boolean, string[]]>([
    [[LOCAL, VENDOR], false, [LOCAL]],
    [[LOCAL, VENDOR], true, [LOCAL, VENDOR]],
    [[LOCAL, LEGACY], false, [LOCAL]],
    [[LEGACY, VENDOR], true, [LEGACY, VENDOR]],
    [[VENDOR], false, [VENDOR]],
  ])('of %j, with the vendor merged in %s, takes %j', async ([files, mergeVendor, expected]) => {
    for (const file of files) {
      await mkdir(join(directory, file, '..'), { recursive: true })
      await put(file, ring.bytes)
    }
    const found = await findKeyrings({ root: directory, mergeVendor })
    expect(found.map(({ path }) => path)).toEqual(expected.map((file) => join(directory, file)))
  })

  it('takes one that is named alone, and reads it in ASCII armor too', async () => {
    await put('own.asc', await keys.gpg(['--export', 'good@test']))
    const keyrings = await findKeyrings({ root: directory, override: join(directory, 'own.asc') })
    expect(keyrings).toHaveLength(1)
    await put('SHA256SUMS.gpg', await keys.sign('good@test', MANIFEST))
    expect((await get({ keyrings })).entries).toHaveLength(1)
    await put('SHA256SUMS.gpg', await keys.sign('stranger@test', MANIFEST))
    await expect(get({ keyrings })).rejects.toThrow('unknown')
  })

  it('refuses to go on without keys', async () => {
    await expect(findKeyrings({ root: directory })).rejects.toMatchObject(untrusted('no-keyring'))
    const override = join(directory, 'missing')
    await expect(findKeyrings({ override })).rejects.toMatchObject(untrusted('no-keyring'))
    await expect(findKeyrings({ override: 'relative' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await put('own.asc', '-----BEGIN PGP PRIVATE KEY BLOCK-----\n')
    await expect(findKeyrings({ override: join(directory, 'own.asc') })).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
    })
  })
})

it.for([
  ['https://host/dir/', 'a b/ü.raw', 'https://host/dir/a%20b/%C3%BC.raw'],
  ['https://host/dir?x=/#y', 'os_1.raw', 'https://host/dir/os_1.raw'],
  ['http://host', 'a#b?c+d~e^@f', 'http://host/a%23b%3Fc+d~e%5E@f'],
] as const)('addressOf() puts "%s" and "%s" together', ([base, name, url]) => {
  expect(addressOf(base, name)).toBe(url)
})
