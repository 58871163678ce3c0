import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import { run, setImmutable } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { acquireDirectory, activate, removeBelow } from './index.ts'

const QUICK = { retries: 0, backOffMs: () => 0 }

let directory: string
let target: FileTarget
let server: FileServer

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-tree-'))
  for (const path of ['root', 'served', 'tree/deep']) mkdirSync(join(directory, path), { recursive: true })
  writeFileSync(join(directory, 'tree/deep/file'), 'content')
  symlinkSync('deep/file', join(directory, 'tree/link'))
  await pack('tree.tar.gz', '-C', join(directory, 'tree'), '.')
  server = await serveDirectory(join(directory, 'served'))
  target = { root: join(directory, 'root'), directory: '/os', name: 'os_2' }
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  removeBelow(directory, 'root')
  await rm(directory, { recursive: true })
})

const pack = (name: string, ...args: string[]) =>
  run({ argv: ['tar', '-czf', join(directory, 'served', name), '--numeric-owner', ...args] })
const archive = (name = 'tree.tar.gz') => {
  const bytes = readFileSync(join(directory, 'served', name))
  return { archive: { url: `${server.url}/${name}`, sha256: createHash('sha256').update(bytes).digest('hex') } }
}
const place = (path = '') => join(directory, 'root/os', path)
const names = () => readdirSync(place())

describe('acquireDirectory() and activate()', () => {
  it.for(['directory', 'archive'])('make a directory of a %s, hidden until it is whole', async (kind) => {
    const tree = kind === 'archive' ? archive() : { directory: join(directory, 'tree') }
    await acquireDirectory({ ...target, mode: 0o750 }, tree, QUICK)
    expect(names()).toEqual(['.sysupdate.pending.os_2'])
    activate('directory', target)
    activate('directory', target)
    expect(names()).toEqual(['os_2'])
    expect(readFileSync(place('os_2/link'), 'utf8')).toBe('content')
    expect(lstatSync(place('os_2/link')).isSymbolicLink()).toBe(true)
    expect(lstatSync(place('os_2')).mode & 0o7777).toBe(0o750)
  })

  it('take the system out of the only directory of an archive, but nothing else out of one', async () => {
    await pack('nested.tar.gz', '-C', directory, 'tree')
    await acquireDirectory(target, archive('nested.tar.gz'), QUICK)
    expect(readdirSync(place('.sysupdate.pending.os_2'))).toEqual(['tree'])
    mkdirSync(join(directory, 'tree/usr/lib'), { recursive: true })
    writeFileSync(join(directory, 'tree/usr/lib/os-release'), 'ID=x\n')
    await pack('system.tar.gz', '-C', directory, 'tree')
    await acquireDirectory(target, archive('system.tar.gz'), QUICK)
    expect(readdirSync(place('.sysupdate.pending.os_2')).sort()).toEqual(['deep', 'link', 'usr'])
  })

  it.for([
    ['/tree.tar.gz corrupt 30', 'UPDATE_UNTRUSTED'],
    ['/tree.tar.gz truncate 30', 'DOWNLOAD_FAILED'],
    ['/tree.tar.gz status 404', 'DOWNLOAD_FAILED'],
  ])('leave nothing when it fails: %s', async ([fault, code]) => {
    using rule = server.fail(parseServeFault(fault ?? ''))
    await expect(acquireDirectory(target, archive(), QUICK)).rejects.toMatchObject({ code })
    expect(names()).toEqual([])
    rule[Symbol.dispose]()
    await acquireDirectory(target, archive(), QUICK)
    activate('directory', target)
    expect(names()).toEqual(['os_2'])
  })

  it('say what is wrong with what is no archive, and with one that leads out of its place', async () => {
    writeFileSync(join(directory, 'served/none.tar.gz'), 'this is no archive'.repeat(100))
    await expect(acquireDirectory(target, archive('none.tar.gz'), QUICK)).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
      message: expect.stringContaining('Cannot unpack os_2'),
    })
    mkdirSync(join(directory, 'evil'))
    writeFileSync(join(directory, 'victim'), 'evil')
    await pack('evil.tar.gz', '--absolute-names', '-C', join(directory, 'evil'), '../victim')
    writeFileSync(join(directory, 'victim'), 'untouched')
    await acquireDirectory(target, archive('evil.tar.gz'), QUICK).catch(() => undefined)
    expect(readFileSync(join(directory, 'victim'), 'utf8')).toBe('untouched')
    expect(existsSync(place('victim'))).toBe(false)
  })

  it('let nobody look into what is not verified yet', async () => {
    using _ = server.fail(parseServeFault('/tree.tar.gz stall 60'))
    const controller = new AbortController()
    const acquired = acquireDirectory(target, archive(), { ...QUICK, signal: controller.signal })
    await expect.poll(() => server.requests.length).toBe(1)
    expect(lstatSync(place('.sysupdate.partial.os_2')).mode & 0o777).toBe(0o700)
    controller.abort(new Error('enough'))
    await expect(acquired).rejects.toThrow('enough')
    expect(names()).toEqual([])
  })

  it('replace what an earlier run has left, and nothing that somebody else has put there', async () => {
    for (const state of ['partial', 'pending']) {
      mkdirSync(place(`.sysupdate.${state}.os_2/old`), { recursive: true })
    }
    await acquireDirectory(target, archive(), QUICK)
    writeFileSync(place('os_2'), 'a file')
    expect(() => activate('directory', target)).toThrow('Something else is where the directory os_2 should be')
    await rm(place('os_2'))
    activate('directory', target)
    expect(names()).toEqual(['os_2'])
    expect(() => activate('directory', { ...target, name: 'os_3' })).toThrow('does not wait')
  })

  it('make a directory read-only once it has its name, and can still remove it', async ({ skip }) => {
    mkdirSync(place(), { recursive: true })
    try {
      setImmutable(place(), true)
      setImmutable(place(), false)
    } catch {
      skip('the file system has no immutable files, or this user may not make them')
    }
    await acquireDirectory(target, archive(), QUICK)
    activate('directory', { ...target, readOnly: true })
    expect(() => writeFileSync(place('os_2/new'), 'x')).toThrow('EPERM')
    removeBelow(place(), 'os_2')
    expect(existsSync(place())).toBe(true)
    expect(names()).toEqual([])
  })
})
