import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { makeStateDirectory, reapStateDirectories } from './state-directory.ts'

let parent: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'bootwright-states-'))
})

afterEach(() => rm(parent, { recursive: true, force: true }))

async function ownedBy(name: string, owner: string): Promise<void> {
  await mkdir(join(parent, name))
  await writeFile(join(parent, name, 'owner'), owner)
}

describe('makeStateDirectory()', () => {
  it('goes with its scope, and all that is in it', async () => {
    {
      await using state = await makeStateDirectory(join(parent, 'made on the way'), 'm')
      await writeFile(join(state.path, 'disk.qcow2'), 'x')
    }
    expect(await readdir(join(parent, 'made on the way'))).toEqual([])
  })

  it('stays when it is to be kept, and is reaped by nobody', async () => {
    {
      await using state = await makeStateDirectory(parent, 'm')
      await state.keep()
    }
    expect(await reapStateDirectories(parent)).toEqual([])
    expect(await readdir(parent)).toEqual(['m'])
  })

  it('refuses a name that is taken, and leaves that machine alone', async () => {
    await using state = await makeStateDirectory(parent, 'm')
    await writeFile(join(state.path, 'disk.qcow2'), 'x')
    await expect(makeStateDirectory(parent, 'm')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('"m"'),
    })
    expect(await readdir(state.path)).toEqual(['disk.qcow2', 'owner'])
  })
})

describe('reapStateDirectories()', () => {
  it('leaves those of a process that lives', async () => {
    await using _state = await makeStateDirectory(parent, 'mine')
    expect(await reapStateDirectories(parent)).toEqual([])
    expect(await readdir(parent)).toEqual(['mine'])
  })

  it('removes those of a process that is gone', async () => {
    const { stdout: pid } = await run({ argv: ['sh', '-c', 'printf $$'] })
    await ownedBy('orphan', `${pid} 12345\n`)
    expect(await reapStateDirectories(parent)).toEqual(['orphan'])
    expect(await readdir(parent)).toEqual([])
  })

  it('is not taken in by another process with the same number', async () => {
    await using state = await makeStateDirectory(parent, 'mine')
    const [pid, started] = (await readFile(join(state.path, 'owner'), 'utf8')).trim().split(' ')
    expect(Number(pid)).toBe(process.pid)
    await ownedBy('reused', `${pid} ${Number(started) - 1}\n`)
    expect(await reapStateDirectories(parent)).toEqual(['reused'])
  })

  it('leaves those of an owner in another container, unless the host has been started anew since', async () => {
    await using state = await makeStateDirectory(parent, 'mine')
    const [, , namespace = ''] = (await readFile(join(state.path, 'owner'), 'utf8')).trim().split(' ')
    const [boot = ''] = namespace.split('/')
    await ownedBy('elsewhere', `1 12345 ${boot}/pid:[1]\n`)
    await ownedBy('before', `1 12345 00000000-0000-0000-0000-000000000000/pid:[1]\n`)
    expect(await reapStateDirectories(parent)).toEqual(['before'])
  })

  it.for(['', '\n', '123', 'no number at all'])('removes those whose owner was cut: %j', async (owner) => {
    await ownedBy('cut', owner)
    expect(await reapStateDirectories(parent)).toEqual(['cut'])
  })

  it('leaves everything that is not its own, and needs no directory', async () => {
    await writeFile(join(parent, 'file'), '')
    await mkdir(join(parent, 'kept'))
    expect(await reapStateDirectories(parent)).toEqual([])
    expect((await readdir(parent)).sort()).toEqual(['file', 'kept'])
    expect(await reapStateDirectories(join(parent, 'none'))).toEqual([])
  })
})
