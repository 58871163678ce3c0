import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Artifact, BuiltImage } from '../image/index.ts'
import { runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { makeSigningKey, type PublishOptions, publish, type SigningKey, serveDirectory, signingKeyIn } from './index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const NOW = new Date()
const DAY_MS = 86_400_000
const UUID = '0123456789abcdef0123456789abcdef'
const day = (ahead: number): string => new Date(NOW.getTime() + ahead * DAY_MS).toISOString().slice(0, 10)

let directory: string
let repository: string
let key: SigningKey

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bw-release-'))
  repository = join(directory, 'repository')
  // A signature must not be older than its key.
  key = await makeSigningKey(join(directory, 'key'), new Date(NOW.getTime() - 4 * DAY_MS))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

/** An image of two files; other content makes another image of the same version. */
async function imageOf(version: string, content = version): Promise<BuiltImage> {
  const files = join(directory, `image-${version}-${content}`)
  await mkdir(files, { recursive: true })
  const artifacts: Artifact[] = []
  const add = async (file: string, role: Artifact['role'], bytes: Buffer): Promise<void> => {
    await writeFile(join(files, file), bytes)
    artifacts.push({ file, role, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
  }
  await add(`os_${version}.usr-x86-64.${UUID}.raw`, 'other', Buffer.alloc(100_000, content))
  await add(`os_${version}.efi`, 'uki', smallPe(content))
  const facts = { name: 'os', version, identity: content, directory: files, diskPath: '', artifacts }
  return { ...facts, ukiPath: join(files, `os_${version}.efi`), manifestPath: undefined, kernelVersion: undefined }
}

/** As little as makes a PE file for x86-64, and something behind it. */
function smallPe(content: string): Buffer {
  const file = Buffer.alloc(0x400)
  file.write('MZ')
  file.writeUInt32LE(0x80, 0x3c)
  file.write('PE\0\0', 0x80)
  file.writeUInt16LE(0x8664, 0x84)
  file.writeUInt16LE(112, 0x80 + 20)
  file.writeUInt16LE(0x20b, 0x98)
  file.writeUInt32LE(0x1000, 0x98 + 56)
  file.writeUInt32LE(0x200, 0x98 + 60)
  file.write(content, 0x300)
  return file
}

const release = (images: readonly BuiltImage[], more: Partial<PublishOptions> = {}) =>
  publish(images, { toolchain, directory: repository, compression: 'zstd', key, now: NOW, ...more })
const sums = () => readFile(join(repository, 'SHA256SUMS'), 'utf8')

/** What the original makes of the repository, as a machine with `os` 1 asks it. */
async function original(verb: string, url: string, keyring = key.publicKeyPath) {
  const definitions = join(directory, 'definitions')
  await mkdir(definitions, { recursive: true })
  const transfers = {
    usr: `os_@v_x86-64.usr-x86-64.@u.raw.zst os_@v_x86-64.usr-x86-64.@u.raw.xz os_@v_x86-64.usr-x86-64.@u.raw`,
    uki: 'os_@v_x86-64.efi',
  }
  for (const [name, pattern] of Object.entries(transfers)) {
    const target = join(directory, `target-${name}`)
    await writeFile(
      join(definitions, `${name}.transfer`),
      `[Source]\nType=url-file\nPath=${url}\nMatchPattern=${pattern}\n[Target]\nType=regular-file\nPath=${target}\nMatchPattern=${name}_@v\n`,
    )
  }
  const argv = [`/usr/lib/systemd/systemd-sysupdate`, `--definitions=${definitions}`, '--verify=yes', '--json=short']
  return runUnchecked(toolchain.command(['env', `SYSTEMD_OPENPGP_KEYRING=${keyring}`, ...argv, verb]))
}

describe.skipIf(toolchain === undefined)('publish() (needs the tools: ./bootwright setup)', { timeout: 60_000 }, () => {
  it('makes a repository that the original takes, and refuses with one byte changed', async () => {
    await release([await imageOf('1'), await imageOf('2')], { bestBefore: day(2) })
    await using server = await serveDirectory(repository)
    const list = await original('list', server.url)
    expect([list.exitCode, JSON.parse(list.stdout)]).toMatchObject([0, { current: null, all: ['2', '1'] }])
    const update = await original('update', server.url)
    expect([update.exitCode, update.stderr]).toMatchObject([0, expect.stringContaining('2')])
    expect(await readFile(join(directory, 'target-usr/usr_2'))).toEqual(Buffer.alloc(100_000, '2'))

    const stranger = await makeSigningKey(join(directory, 'stranger'), NOW)
    const unknown = await original('list', server.url, stranger.publicKeyPath)
    expect([unknown.exitCode, unknown.stderr]).toEqual([1, expect.stringMatching(/signature/i)])

    const text = await sums()
    await rm(join(repository, 'SHA256SUMS'))
    await writeFile(
      join(repository, 'SHA256SUMS'),
      text.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    )
    const altered = await original('list', server.url)
    expect([altered.exitCode, altered.stderr]).toEqual([1, expect.stringMatching(/signature/i)])
  })

  it('is refused by the original when its date has come', async () => {
    await release([await imageOf('1')], { bestBefore: day(-1), now: new Date(NOW.getTime() - 3 * DAY_MS) })
    await using server = await serveDirectory(repository)
    expect(await original('list', server.url)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('Best before marker'),
    })
    await release([], { bestBefore: day(1) })
    expect(await original('list', server.url)).toMatchObject({ exitCode: 0 })
  })

  it.for([
    ['zstd', '.raw.zst'],
    ['xz', '.raw.xz'],
    ['none', '.raw'],
  ] as const)('compresses with %s, and the original installs what it was', async ([compression, suffix]) => {
    const { files } = await release([await imageOf('1')], { compression })
    expect(files.map(({ name }) => name)).toEqual([`os_1_x86-64.usr-x86-64.${UUID}${suffix}`, 'os_1_x86-64.efi'])
    await using server = await serveDirectory(repository)
    expect((await original('update', server.url)).exitCode).toBe(0)
    expect(await readFile(join(directory, 'target-usr/usr_1'))).toEqual(Buffer.alloc(100_000, '1'))
    expect(await readFile(join(directory, 'target-uki/uki_1'))).toEqual(smallPe('1'))
  })

  it('keeps versions beside each other, and changes nothing when nothing is new', async () => {
    const first = await release([await imageOf('1')], { bestBefore: day(5) })
    expect(first.files.every(({ isNew }) => isNew)).toBe(true)
    const second = await release([await imageOf('2')])
    const names = [...first.files, ...second.files].map(({ name }) => name)
    expect(new Set(second.listed.map(({ name }) => name))).toEqual(new Set([...names, `BEST-BEFORE-${day(5)}`]))
    const [text, files] = [await sums(), await readdir(repository)]
    const again = await release([await imageOf('1'), await imageOf('2')])
    expect(again).toMatchObject({ bestBefore: day(5), files: again.files.map(({ name }) => ({ name, isNew: false })) })
    expect([await sums(), await readdir(repository)]).toEqual([text, files])
    expect((await release([], { bestBefore: null })).bestBefore).toBeUndefined()
    expect((await readdir(repository)).filter((name) => name.startsWith('BEST'))).toEqual([])
  })

  it('refuses a version that is there with other content, or compressed otherwise', async () => {
    await release([await imageOf('1')])
    const text = await sums()
    const refusal = { code: 'INVALID_ARGUMENT', message: expect.stringContaining('released already') }
    await expect(release([await imageOf('1', 'other')])).rejects.toMatchObject(refusal)
    await expect(release([await imageOf('1')], { compression: 'xz' })).rejects.toMatchObject(refusal)
    expect(await sums()).toBe(text)
    expect((await readdir(repository)).filter((name) => name.startsWith('.incoming'))).toEqual([])
  })

  it('signs nothing that its key has not signed before', async () => {
    await release([await imageOf('1')])
    const untrusted = { code: 'UPDATE_UNTRUSTED' }
    const stranger = await makeSigningKey(join(directory, 'stranger'), NOW)
    await expect(release([await imageOf('2')], { key: stranger })).rejects.toMatchObject(untrusted)
    await expect(release([await imageOf('2')], { key: undefined })).rejects.toMatchObject(untrusted)
    const path = join(repository, '.current/SHA256SUMS')
    await writeFile(path, `${await readFile(path, 'utf8')}${'0'.repeat(64)} *os_9_x86-64.efi\n`)
    await expect(release([await imageOf('2')])).rejects.toMatchObject(untrusted)
  })

  it('signs nothing where it is told so', async () => {
    await release([await imageOf('1')], { key: undefined })
    expect(await readdir(repository)).not.toContain('SHA256SUMS.gpg')
    await release([await imageOf('2')], { key: undefined })
    await expect(release([await imageOf('3')])).rejects.toMatchObject({ code: 'UPDATE_UNTRUSTED' })
  })

  it('goes on after a run that was killed, at any point', async () => {
    await release([await imageOf('1')])
    await mkdir(join(repository, '.incoming-killed'))
    await mkdir(join(repository, '.sums-killed'))
    await symlink('.sums-killed', join(repository, '.incoming-link'))
    await writeFile(join(repository, 'os_2_x86-64.efi'), 'half')
    await release([await imageOf('2')])
    expect((await readdir(repository)).filter((name) => /^\.(incoming|sums)/.test(name))).toHaveLength(1)
    expect(await readFile(join(repository, 'os_2_x86-64.efi'))).toEqual(smallPe('2'))
  })

  it('refuses what it does not find as it should be', async () => {
    const image = await imageOf('1')
    await writeFile(image.ukiPath, smallPe('changed'))
    await expect(release([image])).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
    await release([await imageOf('2')])
    await rename(join(repository, 'os_2_x86-64.efi'), join(repository, 'elsewhere'))
    await expect(release([await imageOf('3')])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('os_2_x86-64.efi is listed'),
    })
  })

  it.for(['2026-02-30', 'tomorrow', day(0), day(-1), ''])('takes no date "%s"', async (bestBefore) => {
    await expect(release([], { bestBefore })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('keys', () => {
  it('are made once, and read again', async () => {
    expect((await signingKeyIn(join(directory, 'key'))).fingerprint).toBe(key.fingerprint)
    await expect(makeSigningKey(join(directory, 'key'), NOW)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await signingKeyIn(join(directory, 'key'))).fingerprint).toBe(key.fingerprint)
    await expect(signingKeyIn(directory)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await writeFile(join(directory, 'key/key.json'), '{}')
    await expect(signingKeyIn(join(directory, 'key'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})
