import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hostApt } from './fixtures/host-apt.ts'
import { findPackageSources, snapshotOf } from './package-sources.ts'
import { sandboxFiles } from './sandbox-tree.ts'

/** The first byte of a public-key packet in the old format, enough to be taken for a keyring. */
const KEYRING = Uint8Array.of(0x99, 0x01, 0x0d, 0x04)

let directory: string
let keyring: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  keyring = join(directory, 'etc/apt/debian-archive-keyring.gpg')
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

function stanza(uri: string, signedBy: string, more = ''): string {
  return `Types: deb\nURIs: ${uri}\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: ${signedBy}\n${more}`
}

describe('findPackageSources()', () => {
  it("takes Debian's archive and not a third party that uses its release names", async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'vendor.gpg': KEYRING,
      'sources.list.d/a-vendor.sources': stanza(
        'http://vendor.example/linux/debian',
        join(directory, 'etc/apt/vendor.gpg'),
      ),
      'sources.list.d/debian.sources': stanza('http://mirror.example/debian/', keyring),
    })
    const sources = await findPackageSources({ env })
    expect(sources.uri).toBe('http://mirror.example/debian')
    expect(sources.release).toBe('forky')
    expect(sources.keyrings.map(({ path }) => path)).toEqual([keyring])
  })

  it('never takes the security archive, which has no such release', async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'sources.list': [
        `deb [signed-by=${keyring}] http://mirror.example/debian-security bookworm-security main`,
        `deb [signed-by=${keyring}] http://mirror.example/debian bookworm main`,
      ].join('\n'),
    })
    expect((await findPackageSources({ env })).uri).toBe('http://mirror.example/debian')
  })

  it('carries proxy and date checks over, but neither hooks nor paths', async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'sources.list.d/debian.sources': stanza('http://mirror.example/debian', keyring),
      'apt.conf.d/90mine': [
        'Acquire::http::Proxy "http://proxy.invalid:3128";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
        'APT::Update::Post-Invoke { "touch /nowhere"; };',
        'Dir::Cache::pkgcache "";',
      ].join('\n'),
    })
    expect((await findPackageSources({ env })).settings).toEqual([
      ['Acquire::http::Proxy', 'http://proxy.invalid:3128'],
      ['Acquire::http::Proxy::mirror.example', 'DIRECT'],
      ['Acquire::Check-Valid-Until', 'false'],
    ])
  })

  it('takes proxies from the environment, and lets the configuration override them', async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'sources.list.d/debian.sources': stanza('http://mirror.example/debian', keyring, 'Check-Valid-Until: no\n'),
      'apt.conf.d/90mine': 'Acquire::http::Proxy "http://proxy.invalid:2";',
    })
    const { settings } = await findPackageSources({ env: { ...env, http_proxy: 'http://proxy.invalid:1' } })
    expect(settings).toEqual([
      ['Acquire::http::Proxy', 'http://proxy.invalid:1'],
      ['Acquire::http::Proxy', 'http://proxy.invalid:2'],
      ['Acquire::Check-Valid-Until', 'false'],
    ])
  })

  it('takes the first line of a list of mirrors', async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'mirrors/debian.list': '# mine\nhttp://first.example/debian\tpriority:1\nhttp://second.example/debian\n',
      'sources.list.d/debian.sources': stanza(`mirror+file://${directory}/etc/apt/mirrors/debian.list`, keyring),
    })
    expect((await findPackageSources({ env })).uri).toBe('http://first.example/debian')
  })

  it('asks for --mirror where the host has another archive', async () => {
    const env = await hostApt(directory, {
      'ubuntu.gpg': KEYRING,
      'sources.list.d/ubuntu.sources': stanza('http://archive.example/ubuntu', join(directory, 'etc/apt/ubuntu.gpg')),
    })
    await expect(findPackageSources({ env })).rejects.toMatchObject({
      code: 'PACKAGE_SOURCE',
      hint: expect.stringContaining('--mirror'),
    })
  })

  it.for([
    ['is missing', undefined, /ENOENT/],
    ['is no keyring', Buffer.from('<html>not found</html>'), /should be an OpenPGP keyring/],
    ['is empty', new Uint8Array(), /should be an OpenPGP keyring/],
    ['cannot be read', 'directory', /EISDIR/],
  ] as const)('rejects when the keyring %s', async ([, content, message]) => {
    const env = await hostApt(directory, {
      'sources.list.d/debian.sources': stanza('http://mirror.example/debian', keyring),
      ...(content instanceof Uint8Array ? { 'debian-archive-keyring.gpg': content } : {}),
    })
    if (content === 'directory') await mkdir(keyring)
    const failure = findPackageSources({ env })
    await expect(failure).rejects.toMatchObject({ code: 'PACKAGE_SOURCE', message: expect.stringMatching(message) })
  })

  it.for(['2026', '20260501T000000', 'latest', '20260501T000000Z/..'])('refuses the snapshot %s', async (snapshot) => {
    await expect(findPackageSources({ snapshot })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it.for(['mirror.example/debian', 'http://a.example/x"; Dir "/', 'javascript:0'])(
    'refuses the mirror %s',
    async (mirror) => {
      await expect(findPackageSources({ mirror })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    },
  )

  it('pins a snapshot, which is older than its index allows', async () => {
    const env = await hostApt(directory, {
      'debian-archive-keyring.gpg': KEYRING,
      'sources.list.d/debian.sources': stanza('http://mirror.example/debian', keyring),
    })
    const sources = await findPackageSources({ env, snapshot: '20260501T000000Z' })
    expect(sources.uri).toBe('http://mirror.example/archive/debian/20260501T000000Z')
    expect(sources.settings).toContainEqual(['Acquire::Check-Valid-Until', 'false'])
  })
})

describe('snapshotOf()', () => {
  it.for([
    ['http://m.example/debian', 'http://m.example/archive/debian/20260501T000000Z'],
    ['http://m.example', 'http://m.example/archive/debian/20260501T000000Z'],
    ['http://m.example/archive/debian', 'http://m.example/archive/debian/20260501T000000Z'],
    ['http://m.example/archive/debian/20250101T000000Z', 'http://m.example/archive/debian/20260501T000000Z'],
  ] as const)('%s', ([mirror, expected]) => {
    expect(snapshotOf(mirror, '20260501T000000Z')).toBe(expected)
  })
})

describe('sandboxFiles()', () => {
  it('holds what the sources file names, so that it is complete inside a sandbox', () => {
    const files = sandboxFiles(
      {
        uri: 'http://mirror.example/debian',
        release: 'forky',
        components: ['main'],
        keyrings: [{ path: '/somewhere/own.gpg', bytes: KEYRING }],
        settings: [['Acquire::Check-Date', 'false']],
        snapshot: undefined,
      },
      '/',
    )
    const text = String(files.get('etc/apt/sources.list.d/mkosi.sources'))
    const named = /^Signed-By: \/(.*)$/m.exec(text)?.[1] ?? ''
    expect(files.get(named)).toBe(KEYRING)
    expect(text).not.toContain('debug')
    expect(files.get('etc/apt/apt.conf.d/50bootwright')).toContain('Acquire::Check-Date "false";')
  })
})
