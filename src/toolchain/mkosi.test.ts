import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { Cache } from './cache.ts'
import { type Damage, type ThrowAwayKey, throwAwayKey, writeArchive } from './fixtures/package-archive.ts'
import { fetchMkosi } from './mkosi.ts'
import type { PackageSources } from './package-sources.ts'

const key = await throwAwayKey()
const otherKey = await throwAwayKey()

let directory: string
let archive: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
})

beforeEach(async () => {
  archive = await mkdtemp(join(directory, 'archive-'))
})

afterAll(async () => {
  await key?.[Symbol.asyncDispose]()
  await otherKey?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

function sourcesAt(uri: string, publicKey: Uint8Array): PackageSources {
  return {
    uri,
    release: 'forky',
    components: ['main'],
    keyrings: [{ path: '/test-keyring.gpg', bytes: publicKey }],
    settings: [['Acquire::Retries', '0']],
    snapshot: undefined,
  }
}

describe.skipIf(key === undefined)('fetchMkosi() (needs gpg for a throw-away key)', () => {
  const signer = key as ThrowAwayKey

  async function fetchFrom(uri: string, more: Partial<PackageSources> = {}): Promise<{ cache: Cache; entry: string }> {
    const cache = new Cache(join(archive, 'cache'))
    const sources = { ...sourcesAt(uri, signer.publicKey), ...more }
    const entry = await cache.entry('mkosi', 'test', (into) => fetchMkosi(into, sources))
    return { cache, entry }
  }

  it('fetches, verifies and unpacks a package that starts, and keeps nothing of apt', async () => {
    await writeArchive(archive, signer, '27.4-1')
    const { entry } = await fetchFrom(`file:${archive}`)
    expect((await readdir(entry)).sort()).toEqual(['mkosi.json', 'unpacked'])
    const env = { PYTHONPATH: join(entry, 'unpacked/usr/lib/python3/dist-packages') }
    const { stdout } = await run({ argv: ['/usr/bin/python3', '-m', 'mkosi', 'build'], env })
    expect(stdout).toBe('stand-in build\n')
  })

  it('refuses a mkosi that is too old', async () => {
    await writeArchive(archive, signer, '26.9-1')
    await expect(fetchFrom(`file:${archive}`)).rejects.toMatchObject({
      code: 'PACKAGE_SOURCE',
      message: expect.stringContaining('26.9-1'),
    })
  })

  const signature = 'its signature does not hold'
  const altered = 'what the mirror sent is not what it signed'
  const damages: readonly (readonly [what: string, damage: Damage, meaning: string])[] = [
    ['has no signature', { release: () => undefined }, signature],
    ['is signed by a stranger', { sign: async (text) => (await otherKey?.clearSign(text)) ?? '' }, signature],
    ['was altered after signing', { release: (text) => text.replace('Suite: testing', 'Suite: stable') }, signature],
    ['has a release file cut in its signature', { release: (text) => text.slice(0, -200) }, signature],
    ['has a release file cut in its text', { release: (text) => text.slice(0, 120) }, signature],
    ['has a package index cut short', { packages: (text) => text.slice(0, text.length / 2) }, altered],
    ['has a package index altered', { packages: (text) => text.replace('stand-in', 'stand-IN') }, altered],
    ['has a package cut short', { deb: (bytes) => bytes.subarray(0, 200) }, altered],
    ['has expired', { validUntil: 'Fri, 02 Jan 2026 00:00:00 UTC' }, 'its date is out of range'],
  ]
  it.for(damages)('rejects an archive that %s, and leaves nothing', async ([, damage, meaning]) => {
    await writeArchive(archive, signer, '27.4-1', damage)
    const failure = fetchFrom(`file:${archive}`)
    await expect(failure).rejects.toMatchObject({
      code: 'PACKAGE_SOURCE',
      message: expect.stringContaining(meaning),
      hint: expect.any(String),
    })
    expect(await readdir(join(archive, 'cache/mkosi'))).toEqual([])
  })

  it('says that a mirror cannot be reached', async () => {
    const server = await listen(createServer())
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    await expect(fetchFrom(`http://127.0.0.1:${port}/debian`)).rejects.toMatchObject({
      code: 'PACKAGE_SOURCE',
      message: expect.stringContaining('the mirror cannot be reached'),
    })
  })

  it.for([
    ['does not have it', 404, undefined, /whole Debian archive/],
    ['does not have it', 404, '20260501T000000Z', /no archive of 20260501T000000Z/],
    // What a mirror says that knows nothing of snapshots.
    ['does not have it', 400, '20260501T000000Z', /no archive of 20260501T000000Z/],
    ['refuses', 403, undefined, /password/],
  ] as const)('says that a mirror %s (%i)', async ([meaning, status, snapshot, hint]) => {
    const server = await listen(
      createServer((_request, response) => {
        response.writeHead(status).end()
      }),
    )
    const { port } = server.address() as AddressInfo
    try {
      await expect(fetchFrom(`http://127.0.0.1:${port}/debian`, { snapshot })).rejects.toMatchObject({
        code: 'PACKAGE_SOURCE',
        message: expect.stringContaining(`the mirror ${meaning}`),
        hint: expect.stringMatching(hint),
      })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

async function listen(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
