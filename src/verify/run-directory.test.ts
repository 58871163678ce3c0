import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeRunDirectory } from './run-directory.ts'

let parent: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'bootwright-runs-'))
})

afterEach(() => rm(parent, { recursive: true, force: true }))

describe('makeRunDirectory()', () => {
  it('names a run by its time, so that names sort', async () => {
    const runs = join(parent, 'out', 'runs')
    const first = await makeRunDirectory(runs, new Date('2026-01-02T03:04:05.678Z'))
    const second = await makeRunDirectory(runs, new Date('2026-01-02T03:04:06Z'))
    expect(first.id).toMatch(/^20260102T030405Z-[0-9a-f]{4}$/)
    expect((await readdir(runs)).sort()).toEqual([first.id, second.id])
    expect(first.path).toBe(join(runs, first.id))
  })

  it('writes files whole, over those that were there', async () => {
    const directory = await makeRunDirectory(parent, new Date())
    await directory.write('report.json', '{}')
    await directory.write('report.json', Uint8Array.of(1, 2))
    expect(await readdir(directory.path)).toEqual(['report.json'])
    expect([...(await readFile(join(directory.path, 'report.json')))]).toEqual([1, 2])
  })

  it('collects the logs of a machine, but not its disk, and whatever there is of them', async () => {
    const state = join(parent, 'state')
    await mkdir(state)
    for (const name of ['console.log', 'qemu.log', 'disk.qcow2', 'owner']) await writeFile(join(state, name), name)
    const directory = await makeRunDirectory(parent, new Date())
    await directory.collect(state)
    expect((await readdir(directory.path)).sort()).toEqual(['console.log', 'qemu.log'])
    await directory.collect(join(parent, 'none'))
  })
})
