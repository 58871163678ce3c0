import { createHash, randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { crc32, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { editGpt, parseGpt } from '../../formats/index.ts'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import { runUnchecked } from '../../system/index.ts'
import { unfinishedType } from '../../sysupdate/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { slotDisk } from './change-system.test-support.ts'
import { type HereOutcome, sysupdateHere } from './here.test-support.ts'

const USR = '8484680c-9521-48c6-9c11-b0720656f69e'
const PARTIAL = unfinishedType(USR, 'partial')
const MIB = 1024 * 1024

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

let root: string
let server: FileServer

beforeEach(async () => {
  if (toolchain === undefined) return
  root = mkdtempSync(join(tmpdir(), 'bootwright-change-'))
  for (const path of ['url', 'src', 'dst']) mkdirSync(join(root, path))
  server = await serveDirectory(join(root, 'url'))
  write('etc/os-release', 'ID=x\nIMAGE_VERSION=1\n')
  define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v.raw`, [
    ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
    ...['PartitionFlags=0', 'ReadOnly=yes', 'PartitionGrowFileSystem=yes', 'PartitionNoAuto=yes'],
  ])
  define('20-url', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=u_@v.raw`, [
    ...['Type=regular-file', 'Path=/dst', 'MatchPattern=u_@v.raw'],
  ])
  define('90-file', [], 'Type=regular-file\nPath=/src\nMatchPattern=a_@v', [
    ...['Type=regular-file', 'Path=/dst', 'MatchPattern=a_@v', 'CurrentSymlink=/links/current', 'InstancesMax=2'],
  ])
  const slots = [
    ['p_1', 2],
    ['_empty', 2],
    ['_empty', 1],
  ] as const
  await slotDisk(join(root, 'disk.img'), USR, slots, toolchain)
  write('dst/u_1.raw', 'u1')
  write('dst/a_1', 'a1')
  release('2')
})

afterEach(async () => {
  if (toolchain === undefined) return
  await server[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

function define(name: string, head: string[], source: string, target: string[]): void {
  const text = ['[Transfer]', ...head, '[Source]', source, '[Target]', ...target, '']
  write(`usr/lib/sysupdate.d/${name}.transfer`, text.join('\n'))
}

/** Of more than one piece, so that it can break in between. */
function release(version: string, partition = Buffer.alloc(MIB - 1000, `p${version}`)): void {
  write(`url/p_${version}.raw`, partition)
  write(`url/u_${version}.raw`, gzipSync(`u${version}`))
  write(`src/a_${version}`, `a${version}`)
  sign()
}

function sign(change: (lines: string[]) => string[] = (lines) => lines): void {
  const lines = readdirSync(join(root, 'url'))
    .filter((name) => name !== 'SHA256SUMS')
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(root, 'url', name)))
          .digest('hex')} *${name}`,
    )
  write('url/SHA256SUMS', `${change(lines).join('\n')}\n`)
}

const sysupdate = (...argv: string[]): Promise<HereOutcome> => sysupdateHere([`--root=${root}`, ...argv])
const table = () => parseGpt(readFileSync(join(root, 'disk.img'))).partitions
const labels = () => table().map(({ name }) => name)
const files = () => readdirSync(join(root, 'dst')).sort()
const versions = async () => JSON.parse((await sysupdate('--json=short', '--offline')).stdout)

/** Nothing half-written or activated is left of a version that failed, and the one before it is as it was. */
function expectUntouched(): void {
  const [first, ...others] = table()
  expect(first).toMatchObject({ name: 'p_1', typeGuid: USR })
  for (const { name, typeGuid } of others) {
    expect(name === '_empty' ? typeGuid === USR : typeGuid === unfinishedType(USR, 'pending')).toBe(true)
  }
  expect(files().filter((name) => !name.startsWith('.sysupdate.pending.'))).toEqual(['a_1', 'u_1.raw'])
  expect(readFileSync(join(root, 'dst/a_1'), 'utf8')).toBe('a1')
}

function expectVersion(version: string): void {
  expect(labels()).toContain(`p_${version}`)
  expect(files()).toEqual(expect.arrayContaining([`a_${version}`, `u_${version}.raw`]))
  expect(readFileSync(join(root, `dst/u_${version}.raw`), 'utf8')).toBe(`u${version}`)
  const slot = table().find(({ name }) => name === `p_${version}`)
  const content = readFileSync(join(root, `url/p_${version}.raw`))
  const disk = readFileSync(join(root, 'disk.img'))
  expect(disk.subarray(slot?.offset, (slot?.offset ?? 0) + content.byteLength).equals(content)).toBe(true)
}

describe.skipIf(toolchain === undefined)('update (needs the tools: ./bootwright setup)', () => {
  it('installs a version, with all flags, and the link last', async () => {
    expect(await sysupdate('update')).toMatchObject({ exitCode: 0, stdout: '' })
    expectVersion('2')
    const flags = (1n << 59n) | (1n << 60n) | (1n << 63n)
    expect(table().find(({ name }) => name === 'p_2')).toMatchObject({ typeGuid: USR, attributes: flags })
    expect(readlinkSync(join(root, 'links/current'))).toBe('../dst/a_2')
    expect((await sysupdate('update')).lastError).toBe('No update needed.')
    // An absolute link below the root is replaced, not what it leads to.
    release('3')
    await sysupdate('update')
    expectVersion('3')
    expect(readlinkSync(join(root, 'links/current'))).toBe('../dst/a_3')
    expect(lstatSync(join(root, 'dst/a_2')).isFile()).toBe(true)
  })

  it.for<readonly [string, string, (() => void)?]>([
    ['/p_2.raw truncate 1000', 'Cannot download'],
    ['/p_2.raw corrupt 5', 'the manifest says'],
    ['/u_2.raw status 404', 'Cannot download'],
    ['/u_2.raw corrupt 3', 'the manifest says'],
    ['/SHA256SUMS status 500', 'Cannot download'],
    [
      '/none endless',
      'has no signature',
      () =>
        define('20-url', [], `Type=url-file\nPath=${server.url}\nMatchPattern=u_@v.raw`, [
          'Type=regular-file',
          'Path=/dst',
          'MatchPattern=u_@v.raw',
        ]),
    ],
    [
      '/none endless',
      'Invalid filename',
      () => sign((lines) => lines.map((line) => line.replace('*u_', '*sub/../u_'))),
    ],
    ['/none endless', 'decoded to 31 bytes', () => sign((lines) => lines.map((line) => line.replace(/^../, '  ')))],
    ['/none endless', 'has 3145728 bytes, and the largest free partition', () => release('2', Buffer.alloc(3 * MIB))],
  ])(
    'leaves the running version alone when it fails, and the next one succeeds: %s',
    async ([fault, words, prepare]) => {
      write('etc/systemd/import-pubring.pgp', '')
      prepare?.()
      if (words.includes('largest')) {
        define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v_@s.raw`, [
          ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
        ])
        write('url/p_2_3145728.raw', Buffer.alloc(3 * MIB))
        sign()
      }
      const rule = server.fail(parseServeFault(fault))
      const failed = await sysupdate('update')
      rule[Symbol.dispose]()
      expect(failed.lastError).toContain(words)
      expect(failed).toMatchObject({ exitCode: 1, stdout: '' })
      expectUntouched()
      define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v.raw`, [
        ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
      ])
      release('2')
      expect(await sysupdate('--verify=no', 'update')).toMatchObject({ exitCode: 0 })
      expectVersion('2')
    },
  )

  it('does not take a payload that does not fit into its slot', async () => {
    release('2', randomBytes(3 * MIB))
    expect((await sysupdate('update')).lastError).toContain('does not fit in partition 2')
    expectUntouched()
    release('2')
    await sysupdate('update')
    expectVersion('2')
  })

  it.for(['overlap', 'none'])('refuses a disk whose table is no table: %s', async (what) => {
    const path = join(root, 'disk.img')
    const good = readFileSync(path)
    if (what === 'none') write('disk.img', Buffer.alloc(8 * MIB))
    else write('disk.img', overlapping(good))
    const { exitCode, lastError } = await sysupdate('update')
    expect(exitCode).toBe(1)
    expect(lastError).toMatch(what === 'none' ? /has no GPT disk label/ : /damaged GPT disk label.*partition 1 ends/)
    expect(files()).toEqual(['a_1', 'u_1.raw'])
    write('disk.img', good)
    await sysupdate('update')
    expectVersion('2')
  })

  it('goes on after a run that was ended, whatever it left', async () => {
    const leave = (number: number, label: string): void => {
      const bytes = readFileSync(join(root, 'disk.img'))
      for (const { offset, bytes: piece } of editGpt(bytes, number, { typeGuid: PARTIAL, name: label })) {
        bytes.set(piece, offset)
      }
      write('disk.img', bytes)
    }
    const states: readonly (() => unknown)[] = [
      () => leave(2, 'p_2'),
      () => write('dst/.sysupdate.partial.u_2.raw', 'half'),
      async () => {
        await sysupdate('acquire')
        rmSync(join(root, 'dst/.sysupdate.pending.a_2'))
      },
      async () => {
        await sysupdate('acquire')
        leave(2, 'p_2')
      },
      async () => {
        await sysupdate('update')
        rmSync(join(root, 'dst/u_2.raw'))
        write('dst/.sysupdate.partial.u_2.raw', 'half')
      },
      () => sysupdate('acquire'),
    ]
    const [disk, before] = [readFileSync(join(root, 'disk.img')), files()]
    for (const [index, state] of states.entries()) {
      write('disk.img', disk)
      for (const name of files()) if (!before.includes(name)) rmSync(join(root, 'dst', name))
      await state()
      const outcome = await sysupdate('update')
      expect(outcome, `state ${index}: ${outcome.stderr}`).toMatchObject({ exitCode: 0 })
      expectVersion('2')
      expect(files()).toEqual(['a_1', 'a_2', 'u_1.raw', 'u_2.raw'])
      expect(labels().filter((label) => label === 'p_2')).toHaveLength(1)
    }
  })

  it('keeps what it has of a version that is the same still, and puts none together from two releases', async () => {
    const asked = (name: string) => server.requests.filter(({ path }) => path.endsWith(name)).length
    const interrupted = async () => {
      using _ = server.fail(parseServeFault('/u_2.raw status 404'))
      expect((await sysupdate('update')).exitCode).toBe(1)
      expect(labels()).toContain('p_2')
    }
    await interrupted()
    const before = asked('p_2.raw')
    await sysupdate('update')
    expect(asked('p_2.raw')).toBe(before)
    expectVersion('2')

    release('4')
    using rule = server.fail(parseServeFault('/u_4.raw status 404'))
    expect((await sysupdate('update')).exitCode).toBe(1)
    rule[Symbol.dispose]()
    release('4', Buffer.alloc(MIB - 500, 'published anew'))
    const outcome = await sysupdate('update')
    expect(outcome, outcome.stderr).toMatchObject({ exitCode: 0 })
    expect(outcome.stderr).toContain('Removing outdated')
    expectVersion('4')
    expect(labels().filter((label) => label === 'p_4')).toHaveLength(1)
    expect(existsSync(join(root, 'var/lib/systemd/sysupdate/acquired.json'))).toBe(false)
  })

  it('installs offline what is acquired, and nothing that lacks a part', async () => {
    await sysupdate('acquire')
    rmSync(join(root, 'dst/.sysupdate.pending.a_2'))
    expect((await sysupdate('update', '--offline', '2')).lastError).toContain('lacks a part')
    expect(existsSync(join(root, 'dst/u_2.raw'))).toBe(false)
    await sysupdate('acquire')
    expect(await versions()).toMatchObject({ 'current+pending': '2' })
    expect(await sysupdate('update', '--offline')).toMatchObject({ exitCode: 0 })
    expectVersion('2')
  })

  it('is one at a time, and says who is at it', async () => {
    const slow = server.fail(parseServeFault('/p_2.raw slow 2000000'))
    const first = sysupdate('update')
    await expect.poll(() => server.requests.some(({ path }) => path.includes('p_2'))).toBe(true)
    for (const verb of ['update', 'acquire', 'vacuum']) {
      const { exitCode, lastError } = await sysupdate(verb)
      expect(exitCode).toBe(1)
      expect(lastError).toMatch(/^\/.*\/disk\.img is being updated by process \d+ \(.*\)$/)
    }
    expect((await sysupdate('list')).exitCode).toBe(0)
    expect(await first).toMatchObject({ exitCode: 0 })
    slow[Symbol.dispose]()
    expectVersion('2')
  })

  it('puts away what is half done when it is ended', async () => {
    using _ = server.fail(parseServeFault('/p_2.raw stall 1000'))
    const main = join(import.meta.dirname, '../../cli/main.ts')
    const controller = new AbortController()
    const child = runUnchecked(
      { argv: [process.execPath, main, 'sysupdate', `--root=${root}`, 'update'] },
      { signal: controller.signal },
    )
    await expect.poll(() => labels().includes('p_2'), { timeout: 20_000 }).toBe(true)
    controller.abort()
    await child.catch(() => undefined)
    await expect.poll(labels, { timeout: 10_000 }).toEqual(['p_1', '_empty', '_empty'])
    expectUntouched()
  }, 40_000)

  it('leaves nothing in a file system that becomes full, and succeeds once there is room', async () => {
    // Packed, so that nobody knows the size before.
    write('url/u_2.raw', gzipSync(randomBytes(MIB)))
    sign()
    const updater = `"${process.execPath}" "${join(import.meta.dirname, '../../cli/main.ts')}" sysupdate --root="${root}" update`
    const script = [
      `mount -t tmpfs -o size=256k tmpfs "${root}/dst"; echo u1 >"${root}/dst/u_1.raw"; echo a1 >"${root}/dst/a_1"`,
      `${updater} 2>&1 | tail -n1; ls -A "${root}/dst"; df --output=used "${root}/dst" | tail -n1`,
      `mount -o remount,size=8m "${root}/dst"; ${updater} >&2; echo $?; ls -A "${root}/dst"`,
    ]
    const argv = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script.join('\n')]
    const { stdout, stderr } = await runUnchecked({ argv })
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim())
    expect(lines[0], stderr).toMatch(/no space is left|does not fit in u_2\.raw/)
    expect(lines.slice(1, 3)).toEqual(['a_1', 'u_1.raw'])
    expect(Number(lines[3])).toBeLessThan(16)
    expect(lines.slice(4)).toEqual(['0', 'a_1', 'a_2', 'u_1.raw', 'u_2.raw'])
  }, 60_000)

  it('says when there is no room, and leaves everything', async () => {
    for (const name of ['10-disk', '20-url', '90-file']) {
      write(`etc/sysupdate.d/${name}.transfer.d/protect.conf`, '[Transfer]\nProtectVersion=1\nProtectVersion=2\n')
    }
    await sysupdate('update')
    write('disk.img', readFileSync(join(root, 'disk.img')))
    release('3')
    await sysupdate('update')
    release('4')
    for (const name of ['10-disk', '20-url', '90-file']) {
      write(
        `etc/sysupdate.d/${name}.transfer.d/protect.conf`,
        '[Transfer]\nProtectVersion=1\nProtectVersion=2\nProtectVersion=3\n',
      )
    }
    const before = [labels(), files()]
    const { exitCode, lastError } = await sysupdate('update')
    expect(exitCode).toBe(1)
    expect(lastError).toMatch(/is protected \(.*\): there is no room/)
    expect([labels(), files()]).toEqual(before)
  })

  it('protects for all transfers what one of them protects', async () => {
    write('etc/sysupdate.d/90-file.transfer.d/protect.conf', '[Transfer]\nProtectVersion=1\n')
    for (const version of ['2', '3', '4']) {
      release(version)
      expect((await sysupdate('update')).exitCode).toBe(0)
    }
    expect(labels()).toEqual(expect.arrayContaining(['p_1', 'p_4']))
    expect(files()).toEqual(expect.arrayContaining(['a_1', 'u_1.raw', 'a_4', 'u_4.raw']))
  })

  it('follows no link that was planted below a target', async () => {
    const victim = join(root, 'victim')
    writeFileSync(victim, 'untouched')
    symlinkSync(victim, join(root, 'dst/.sysupdate.partial.a_2'))
    symlinkSync(victim, join(root, 'dst/a_2'))
    await sysupdate('update')
    expectVersion('2')
    expect(readFileSync(victim, 'utf8')).toBe('untouched')
  })

  const database = () => join(root, 'var/lib/systemd/sysupdate/installdb')
  const entry = (text: string, name = createHash('sha256').update(text).digest('hex')): string => {
    mkdirSync(database(), { recursive: true })
    symlinkSync(text, join(database(), name))
    return text
  }
  const entries = () =>
    readdirSync(database())
      .map((name) => readlinkSync(join(database(), name)))
      .sort()

  it('notes what it has installed, but not for definitions of somebody’s own', async () => {
    await sysupdate('update')
    expect(entries()).toEqual(['/dst/./a_@v', '/dst/./u_@v.raw'])
    for (const name of readdirSync(database())) {
      expect(name).toBe(
        createHash('sha256')
          .update(readlinkSync(join(database(), name)))
          .digest('hex'),
      )
    }
    const [definitions, target] = [join(root, 'own'), join(root, 'elsewhere')]
    mkdirSync(definitions)
    const text = `[Source]\nType=regular-file\nPath=${root}/src\nMatchPattern=a_@v\n[Target]\nType=regular-file\nPath=${target}\nMatchPattern=own_@v\n`
    writeFileSync(join(definitions, 'x.transfer'), text)
    const before = existsSync('/var/lib/systemd/sysupdate/installdb')
    expect(await sysupdateHere([`--definitions=${definitions}`, 'update'])).toMatchObject({ exitCode: 0 })
    expect(readdirSync(target)).toEqual(['own_2'])
    expect(existsSync('/var/lib/systemd/sysupdate/installdb')).toBe(before)
  })

  it('cleans up what nobody owns any more, and believes no entry that is not its own', async () => {
    await sysupdate('update')
    const kept = entries()
    write('outside/a_1', 'x')
    write('dst/old_1', 'x')
    write('dst/old_1.d/deep/file', 'x')
    write('dst/other', 'x')
    symlinkSync('../outside', join(root, 'dst/link'))
    symlinkSync('outside', join(root, 'linked'))
    entry('/dst/./old_@v')
    entry('/dst/./link/a_@v')
    entry('/dst/./old_@v.d')
    entry('/dst/../outside/./a_@v')
    entry('/none/./a_@v')
    entry('no separator')
    entry('/outside/./a_@v', '0'.repeat(64))
    expect((await sysupdate('cleanup')).exitCode).toBe(0)
    expect(files()).toEqual(['a_1', 'a_2', 'link', 'other', 'u_1.raw', 'u_2.raw'])
    expect(existsSync(join(root, 'outside/a_1'))).toBe(true)
    expect(entries()).toEqual(kept)
    // A link that is in the path by now is an error, and nothing behind it is touched.
    entry('/linked/./a_@v')
    expect(await sysupdate('cleanup')).toMatchObject({ exitCode: 1 })
    expect(existsSync(join(root, 'outside/a_1'))).toBe(true)
  })

  it('updates the partitions of a disk image without mounting it, and says what it cannot', async () => {
    const [definitions, image] = [join(root, 'own'), join(root, 'disk.img')]
    mkdirSync(definitions)
    const source = `[Transfer]\nVerify=no\n[Source]\nType=url-file\nPath=${server.url}\nMatchPattern=p_@v.raw\n`
    const target = (path: string) =>
      writeFileSync(
        join(definitions, '10-disk.transfer'),
        `${source}[Target]\nType=partition\nPath=${path}\nMatchPattern=p_@v\nMatchPartitionType=usr\n`,
      )
    const asked = [`--image=${image}`, `--definitions=${definitions}`]
    target('auto')
    expect(JSON.parse((await sysupdateHere([...asked, '--json=short', 'check-new'])).stdout)).toEqual({
      available: '2',
    })
    expect(await sysupdateHere([...asked, 'update'])).toMatchObject({ exitCode: 0 })
    expect(labels()).toContain('p_2')
    expect(await sysupdateHere([...asked, 'vacuum', '-m', '1'])).toMatchObject({ exitCode: 0 })
    expect(labels().filter((label) => label !== '_empty')).toEqual(['p_2'])
    target('/dev/vda')
    expect((await sysupdateHere([...asked, 'update'])).lastError).toContain(
      "expected Path=auto in [Target], found '/dev/vda'",
    )
    expect((await sysupdateHere([`--image=${image}`, 'list'])).lastError).toContain(
      'name their directory with --definitions=',
    )
    const text = `[Source]\nType=regular-file\nPath=/src\nMatchPattern=a_@v\n[Target]\nType=regular-file\nPath=/dst\nMatchPattern=a_@v\n`
    writeFileSync(join(definitions, '90-file.transfer'), text)
    target('auto')
    expect((await sysupdateHere([...asked, 'update'])).lastError).toContain('Mount the image and use --root=')
    for (const argv of [['--root=/x', 'list'], ['--reboot', 'update'], ['pending']]) {
      expect(await sysupdateHere([...asked, ...argv])).toMatchObject({ exitCode: 1, stdout: '' })
    }
  })

  it('switches features, for who names them right', async () => {
    write('usr/lib/sysupdate.d/one.feature', '[Feature]\nDescription=One\n')
    const dropIn = join(root, 'etc/sysupdate.d/one.feature.d/50-systemd-sysupdate-enabled.conf')
    const both = await sysupdate('enable-feature', 'none', 'one')
    expect(both).toMatchObject({ exitCode: 1 })
    expect(both.stderr).toContain("Optional feature not found in component '<default>': none")
    expect(readFileSync(dropIn, 'utf8')).toBe(
      "# Generated via 'systemd-sysupdate enable-feature'\n\n[Feature]\nEnabled=yes\n",
    )
    symlinkSync(
      '../../../../../victim',
      join(root, 'etc/sysupdate.d/one.feature.d/.#50-systemd-sysupdate-enabled.conf'),
    )
    expect(await sysupdate('disable-feature', 'one')).toMatchObject({ exitCode: 0 })
    expect(readFileSync(dropIn, 'utf8')).toContain('Enabled=no')
    expect(existsSync(join(root, 'victim'))).toBe(false)
  })
})

/** The second partition begins where the first one ends. */
function overlapping(disk: Buffer): Buffer {
  const bytes = Buffer.from(disk)
  const { partitions } = parseGpt(bytes)
  const entries = bytes.subarray(1024, 1024 + 128 * 128)
  entries.writeBigUInt64LE(BigInt(partitions[0]?.lastLba ?? 0), 128 + 32)
  // Neither copy may be whole.
  bytes.fill(0, bytes.byteLength - 512)
  const header = bytes.subarray(512, 604)
  header.writeUInt32LE(crc32(entries), 88)
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header), 16)
  return bytes
}
