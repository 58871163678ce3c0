import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import type { FileTarget } from '../destination.ts'
import { acquireFile, activate, RunLock } from './index.ts'

const CONTENT = Buffer.alloc(300_000, 'a kernel ')
const SHA256 = createHash('sha256').update(CONTENT).digest('hex')
const QUICK = { retries: 0, backOffMs: () => 0 }

let directory: string
let root: string
let server: FileServer
let target: FileTarget

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-file-'))
  root = join(directory, 'root')
  await mkdir(join(directory, 'served'))
  await mkdir(root)
  await writeFile(join(directory, 'served/os_2.efi'), CONTENT)
  server = await serveDirectory(join(directory, 'served'))
  target = { root, directory: '/efi/EFI/Linux', name: 'os_2+3-0.efi' }
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const payload = (more: object = {}) => ({
  url: `${server.url}/os_2.efi`,
  sha256: SHA256,
  size: CONTENT.byteLength,
  ...more,
})
const PLACE = 'efi/EFI/Linux'
const files = () => readdir(join(root, PLACE))

describe('acquireFile() and activate()', () => {
  it('make the directory, keep the file pending, then give it its name', async () => {
    const full = { ...target, mode: 0o640, mtimeUs: 1_767_323_045_123_000n }
    await acquireFile(full, payload(), QUICK)
    expect(await files()).toEqual(['.sysupdate.pending.os_2+3-0.efi'])
    activate('file', full)
    activate('file', full)
    expect(await files()).toEqual(['os_2+3-0.efi'])
    const path = join(root, PLACE, full.name)
    expect((await readFile(path)).equals(CONTENT)).toBe(true)
    const { mode, mtime } = await lstat(path)
    expect([(mode & 0o7777).toString(8), mtime.toISOString()]).toEqual(['640', '2026-01-02T03:04:05.123Z'])
  })

  it('make a file read-only, by the definition of the run that installs it', async () => {
    for (const [before, after] of [
      [true, true],
      [false, true],
    ]) {
      await acquireFile({ ...target, mode: 0o644, readOnly: before }, payload(), QUICK)
      activate('file', { ...target, mode: 0o644, readOnly: after })
      expect((await lstat(join(root, PLACE, target.name))).mode & 0o7777).toBe(0o444)
    }
  })

  it('install what was acquired under another name', async () => {
    await acquireFile({ ...target, name: 'sub/os_2.efi' }, payload(), QUICK)
    activate('file', target, { pendingName: 'sub/os_2.efi' })
    expect((await files()).sort()).toEqual([target.name, 'sub'])
    expect(await readdir(join(root, PLACE, 'sub'))).toEqual([])
  })

  it('leave what failed for the original, when asked', async () => {
    using _ = server.fail(parseServeFault('/os_2.efi corrupt 5'))
    const options = { ...QUICK, keepsPartial: true }
    await expect(acquireFile(target, payload(), options)).rejects.toMatchObject({ code: 'UPDATE_UNTRUSTED' })
    expect(await files()).toEqual(['.sysupdate.partial.os_2+3-0.efi'])
  })

  it('take names with directories', async () => {
    const nested = { ...target, name: 'os_2.efi.extra.d/more.addon.efi' }
    await acquireFile(nested, payload(), QUICK)
    activate('file', nested)
    expect(await readdir(join(root, PLACE, 'os_2.efi.extra.d'))).toEqual(['more.addon.efi'])
  })

  it.for<[string, string, object]>([
    ['/os_2.efi truncate 1000', 'DOWNLOAD_FAILED', {}],
    ['/os_2.efi corrupt 5', 'UPDATE_UNTRUSTED', {}],
    ['/none endless', 'UPDATE_UNTRUSTED', { size: 5 }],
    ['/none endless', 'NO_SPACE', { size: 2 ** 52 }],
  ])('leave nothing when it fails, and the old file alone: %s', async ([fault, code, more]) => {
    await mkdir(join(root, PLACE), { recursive: true })
    await writeFile(join(root, PLACE, target.name), 'old')
    using rule = server.fail(parseServeFault(fault))
    await expect(acquireFile(target, payload(more), QUICK)).rejects.toMatchObject({ code })
    expect(await files()).toEqual([target.name])
    expect(await readFile(join(root, PLACE, target.name), 'utf8')).toBe('old')
    rule[Symbol.dispose]()
    await acquireFile(target, payload(), QUICK)
    activate('file', target)
    expect((await readFile(join(root, PLACE, target.name))).equals(CONTENT)).toBe(true)
  })

  it('replace what a run has left that was ended', async () => {
    await mkdir(join(root, PLACE), { recursive: true })
    for (const state of ['partial', 'pending']) {
      await writeFile(join(root, PLACE, `.sysupdate.${state}.${target.name}`), 'half')
    }
    await acquireFile(target, payload(), QUICK)
    activate('file', target)
    expect(await files()).toEqual([target.name])
  })

  it('follow no link that was planted in the target', async () => {
    const outside = join(directory, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'victim'), 'untouched')
    await mkdir(join(root, PLACE), { recursive: true })
    await symlink(outside, join(root, PLACE, 'os_2.efi.extra.d'))
    const nested = { ...target, name: 'os_2.efi.extra.d/victim' }
    await expect(acquireFile(nested, payload(), QUICK)).rejects.toMatchObject({
      code: 'UPDATE_REFUSED',
      message: expect.stringContaining('A link is on the way to os_2.efi.extra.d/victim'),
    })
    for (const prefix of ['.sysupdate.partial.', '.sysupdate.pending.', '']) {
      await symlink(join(outside, 'victim'), join(root, PLACE, `${prefix}${target.name}`))
    }
    await acquireFile(target, payload(), QUICK)
    activate('file', target)
    expect((await lstat(join(root, PLACE, target.name))).isFile()).toBe(true)
    expect(await readdir(outside)).toEqual(['victim'])
    expect(await readFile(join(outside, 'victim'), 'utf8')).toBe('untouched')
  })

  it('take links on the way to the directory as they are meant below the root', async () => {
    await mkdir(join(root, 'boot'))
    await symlink('/boot', join(root, 'efi'))
    await acquireFile(target, payload(), QUICK)
    expect(await readdir(join(root, 'boot/EFI/Linux'))).toHaveLength(1)
  })

  it.for(['../x', 'a/../x', '/x', '', 'a//b', '.', 'a\0b'])('refuse the name "%s"', async (name) => {
    await expect(acquireFile({ ...target, name }, payload(), QUICK)).rejects.toMatchObject({ code: 'UPDATE_REFUSED' })
    expect(await readdir(root)).toEqual([])
  })

  it('refuse to replace a directory, and to install what was never acquired', async () => {
    expect(() => activate('file', target)).toThrow(expect.objectContaining({ code: 'UPDATE_REFUSED' }))
    await mkdir(join(root, PLACE, target.name), { recursive: true })
    await acquireFile(target, payload(), QUICK)
    expect(() => activate('file', target)).toThrow('A directory is where the file os_2+3-0.efi should be')
  })

  it('leave the directory to the run that has it, even one that it has just made', async () => {
    using _ = server.fail(parseServeFault('/os_2.efi slow 500000'))
    using lock = new RunLock()
    using other = new RunLock()
    const first = acquireFile(target, payload(), { ...QUICK, lock })
    await expect.poll(() => server.requests.length).toBe(1)
    await expect(acquireFile({ ...target, name: 'other' }, payload(), { ...QUICK, lock: other })).rejects.toMatchObject(
      {
        code: 'UPDATE_LOCKED',
        message: expect.stringContaining(`is being updated by process ${process.pid} (`),
      },
    )
    await first
    activate('file', target, { lock })
  })
})
