import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { editGpt } from '../../formats/index.ts'
import { parseServeFault } from '../../release/index.ts'
import { runUnchecked } from '../../system/index.ts'
import { sysupdateHere } from './here.test-support.ts'

import {
  expectUntouched,
  expectVersion,
  files,
  labels,
  MIB,
  PARTIAL,
  release,
  root,
  server,
  sysupdate,
  table,
  toolchain,
  USR,
  versions,
  write,
} from './update-root.test-support.ts'

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

  it('removes what boots a version before what that boots', async () => {
    for (const version of ['2', '3']) {
      release(version)
      await sysupdate('update')
    }
    release('4')
    const { stderr } = await sysupdate('update')
    const removed = [...stderr.matchAll(/Removing old '.*\/([^/]+)' \(/g)].map(([, name]) => name)
    expect(removed).toEqual(['a_2', 'u_1.raw', 'disk.img#1'])
    expectVersion('4')
  })

  it.for([
    ['primary', 512],
    ['backup', 10 * MIB - 512],
  ] as const)(
    'makes the %s copy of a damaged partition table whole, though nothing is to be installed',
    async ([copy, at]) => {
      await sysupdate('update')
      const whole = readFileSync(join(root, 'disk.img'))
      const damaged = Buffer.from(whole).fill(0, at, at + 512)
      write('disk.img', damaged)
      expect((await sysupdate('--bug-compat=262', 'update')).lastError).toBe('No update needed.')
      expect(readFileSync(join(root, 'disk.img')).equals(damaged)).toBe(true)
      const outcome = await sysupdate('update')
      expect(outcome).toMatchObject({ exitCode: 0, lastError: 'No update needed.' })
      expect(outcome.stderr, copy).toContain('was damaged in one copy, which is whole again')
      expect(readFileSync(join(root, 'disk.img')).equals(whole)).toBe(true)
    },
  )

  it('leaves a version alone that has burnt its tries and was deleted, until somebody names it', async () => {
    const note = 'var/lib/systemd/sysupdate/failed.json'
    for (const nonsense of ['', '{', '[]', '{"versions":{}}', '{"versions":[2]}']) {
      write(note, nonsense)
      expect((await sysupdate('check-new')).stdout).toBe('2\n')
    }
    write(note, '{"versions":["2","4"]}\n')
    expect(await sysupdate('check-new')).toMatchObject({ exitCode: 1, stdout: '' })
    expect(await sysupdate('update')).toMatchObject({ exitCode: 0, lastError: 'No update needed.' })
    expectUntouched()
    expect((await sysupdate('list')).stdout).toMatch(/2 .*available\+failed/)
    expect(await sysupdate('update', '2')).toMatchObject({ exitCode: 0 })
    expectVersion('2')
    expect(JSON.parse(readFileSync(join(root, note), 'utf8'))).toEqual({ versions: ['4'] })
    expect((await sysupdate('list')).stdout).toMatch(/2 .*current\n/)
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

  it('protects for all transfers what one of them protects', async () => {
    write('etc/sysupdate.d/90-file.transfer.d/protect.conf', '[Transfer]\nProtectVersion=1\n')
    for (const version of ['2', '3', '4']) {
      release(version)
      expect((await sysupdate('update')).exitCode).toBe(0)
    }
    expect(labels()).toEqual(expect.arrayContaining(['p_1', 'p_4']))
    expect(files()).toEqual(expect.arrayContaining(['a_1', 'u_1.raw', 'a_4', 'u_4.raw']))
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
