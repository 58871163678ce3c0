import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nthEntry, writePoints } from '../../formats/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { type RecordedWrites, recordedWrites } from './write-recording.ts'
import { eachWritePoint, materialise } from './write-replay.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

let directory: string
let recorded: RecordedWrites
let diskPath: string

const COMMANDS = [
  'write -P 0x11 0 8k',
  'flush',
  'write -P 0x22 4k 4k',
  'write -P 0x33 1M 3M',
  'flush',
  'discard 0 64k',
  'write -z 2M 1M',
  'write -P 0x44 1536 512',
  'flush',
  'write -P 0x55 8M 1M',
]

beforeEach(async () => {
  if (toolchain === undefined) return
  directory = await mkdtemp(join(tmpdir(), 'bootwright-writes-'))
  diskPath = join(directory, 'disk.qcow2')
  recorded = recordedWrites({ basePath: join(directory, 'base.qcow2'), logPath: join(directory, 'writes.log') })
  const backing = join(directory, 'image.raw')
  await writeFile(backing, Buffer.alloc(16 * 1024 * 1024, 0xaa))
  await run(toolchain.command(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', backing, diskPath]))
  await copyFile(diskPath, recorded.basePath)
  await writeFile(recorded.logPath, '')
  const disk = `driver=qcow2,discard=unmap,file.driver=file,file.filename=${diskPath}`
  const image = `driver=blklogwrites,log.driver=file,log.filename=${recorded.logPath},${disk.replaceAll(/(^|,)/g, '$1file.')}`
  await run(toolchain.command(['qemu-io', '-t', 'writeback', '-d', 'unmap', '--image-opts', image]), {
    input: `${COMMANDS.join('\n')}\n`,
  })
})

afterEach(() => rm(directory, { recursive: true, force: true }))

/** Whether the range of a disk is filled with that byte. */
async function holds(path: string, byte: number, offset: number, length: number): Promise<boolean> {
  const command = toolchain.command(['qemu-io', '-r', '-f', 'qcow2', '-c', `read -P ${byte} ${offset} ${length}`, path])
  const { stdout, exitCode } = await runUnchecked(command)
  return exitCode === 0 && !stdout.includes('Pattern verification failed')
}

async function isSame(one: string, other: string): Promise<boolean> {
  return (await runUnchecked(toolchain.command(['qemu-img', 'compare', '-q', one, other]))).exitCode === 0
}

describe.skipIf(toolchain === undefined)('a write log of QEMU (needs the tools: ./bootwright setup)', () => {
  it('gives the real disk at its end, and another one before', async () => {
    const log = await recorded.log()
    const last = await materialise(recorded, log.entries.length, join(directory, 'last.qcow2'), { toolchain })
    expect(await isSame(last, diskPath)).toBe(true)
    const before = await materialise(recorded, nthEntry(log, 'flush', 3), join(directory, 'before.qcow2'), {
      toolchain,
    })
    expect(await isSame(before, diskPath)).toBe(false)
  })

  it('gives the disk of each point, in order, and tidies up', async () => {
    const names = await readdir(directory)
    const seen: boolean[][] = []
    const count = await eachWritePoint(recorded, { toolchain }, async ({ path }) => {
      seen.push([
        await holds(path, 0x11, 0, 4096),
        await holds(path, 0x22, 4096, 4096),
        await holds(path, 0x33, 1 << 20, 1 << 20),
        await holds(path, 0, 2 << 20, 1 << 20),
        await holds(path, 0x44, 1536, 512),
        await holds(path, 0xaa, 12 << 20, 1 << 20),
      ])
      // What a test does to one disk, the next one does not have.
      await run(toolchain.command(['qemu-io', '-f', 'qcow2', '-c', 'write -P 0xee 12M 1M', path]))
    })
    expect(count).toBe(writePoints(await recorded.log()).length)
    expect(seen.slice(0, 3)).toEqual([
      [true, false, false, false, false, true],
      [true, true, true, false, false, true],
      [false, false, true, true, true, true],
    ])
    expect(await readdir(directory)).toEqual(names)
  })

  it('cuts a write that no flush had settled', async () => {
    const at = nthEntry(await recorded.log(), 'write', 3)
    const path = join(directory, 'torn.qcow2')
    // Writes 2 and 3 are open; whichever is torn, the first sector of the third is there only after the second.
    for (const seed of [1, 2, 3, 4]) {
      await materialise(recorded, at, path, { toolchain, mode: { kind: 'torn', seed } })
      expect(await holds(path, 0x11, 0, 4096)).toBe(true)
      expect(await holds(path, 0x33, 1 << 20, 3 << 20)).toBe(false)
      if (await holds(path, 0x33, 1 << 20, 512)) expect(await holds(path, 0x22, 4096, 4096)).toBe(true)
    }
  })

  it('has no point behind its end, and then leaves nothing', async () => {
    const path = join(directory, 'none.qcow2')
    await expect(materialise(recorded, 1_000, path, { toolchain })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await readdir(directory)).not.toContain('none.qcow2.partial')
  })

  it('ends the walk with the error of its user', async () => {
    const names = await readdir(directory)
    const walk = eachWritePoint(recorded, { toolchain }, () => Promise.reject(new RangeError('mine')))
    await expect(walk).rejects.toThrow('mine')
    expect(await readdir(directory)).toEqual(names)
  })
})
