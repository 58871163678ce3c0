import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { SYSTEM_DISK } from '../qemu-command.ts'
import { BlockLayers } from './block-layers.ts'
import { blkdebugRules, type DiskFault, faultLayer, stopRules } from './disk-fault.ts'
import { BareQemu } from './qemu.test-support.ts'
import { logNode, recordedWrites, recordWrites } from './write-recording.ts'
import { materialise } from './write-replay.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

const EIO = 'Input/output error'
const ENOSPC = 'No space left on device'

describe.skipIf(toolchain === undefined)('faults of a disk in use (needs the tools: ./bootwright setup)', () => {
  let directory: string
  let qemu: BareQemu
  let layers: BlockLayers

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-layers-'))
    const path = join(directory, 'disk.qcow2')
    await run(toolchain.command(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '16M']))
    // biome-ignore format: an option and its value on one line
    qemu = await BareQemu.start(toolchain, [
      '-machine', 'q35', '-S',
      '-drive', `if=none,id=disk,node-name=${SYSTEM_DISK.node},format=qcow2,discard=unmap,file=${path}`,
      '-device', `virtio-blk-pci,id=${SYSTEM_DISK.device},drive=disk`,
    ])
    layers = new BlockLayers(qemu.qmp)
  })

  afterEach(async () => {
    await qemu[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })

  async function io(...commands: string[]): Promise<string[]> {
    const outcomes: string[] = []
    for (const command of commands) outcomes.push(await qemu.io(command))
    return outcomes
  }

  const fault = (what: DiskFault) => layers.push(faultLayer(blkdebugRules(what)))

  it('befall the sectors that are named, until they are taken away', async () => {
    const end = await fault({ kind: 'torn-sectors', sectors: [8] })
    expect(await io('read 0 4k', 'read 4k 512', 'read 0 64k', 'write 4k 512')).toEqual(['ok', EIO, EIO, 'ok'])
    await end()
    expect(await io('read 4k 512')).toEqual(['ok'])
  })

  it('befall so many requests after so many', async () => {
    await fault({ kind: 'write-error', after: 2, times: 1 })
    const write = 'write 8k 4k'
    expect(await io(write, 'read 8k 4k', write, write, write)).toEqual(['ok', 'ok', 'ok', EIO, 'ok'])
  })

  it('go on top of each other, and come off in any order', async () => {
    const endReads = await fault({ kind: 'read-error' })
    const endWrites = await fault({ kind: 'write-error' })
    expect(await io('read 0 4k', 'write 0 4k')).toEqual([EIO, EIO])
    await endReads()
    expect(await io('read 0 4k', 'write 0 4k')).toEqual(['ok', EIO])
    await endWrites()
    expect(await io('read 0 4k', 'write 0 4k')).toEqual(['ok', 'ok'])
  })

  it.for([
    ['write', ['ok', 'ok', ENOSPC, ENOSPC]],
    ['flush', ['ok', 'ok', 'ok', ENOSPC]],
  ] as const)('let nothing through from the %s on where the power is to go', async ([kind, writes]) => {
    await layers.push(faultLayer(stopRules(kind, 3)))
    const outcomes: string[] = []
    for (let round = 0; round < 4; round++)
      outcomes.push(...(await io('write 0 4k')), ...(await io('flush', 'discard 64k 64k')))
    expect(outcomes.filter((_, index) => index % 3 === 0)).toEqual(writes)
    expect(outcomes.at(-1)).toBe(ENOSPC)
  })

  it('leave a log of all writes that is the disk in the end, discards included', async () => {
    await io('write -P 9 0 1M', 'flush')
    const recording = await recordWrites(qemu.qmp, layers, directory)
    const endErrors = await fault({ kind: 'flush-error', times: 1 })
    await io('write -P 1 1M 64k', 'write -P 2 0 4k', 'flush', 'discard 256k 128k', 'write -z 512k 64k', 'flush')
    await endErrors()
    await recording.end()
    await recording.end()
    const log = await recording.log()
    expect(log.entries.some(({ isDiscard }) => isDiscard)).toBe(true)
    await qemu[Symbol.asyncDispose]()
    const last = await materialise(recording, log.entries.length, join(directory, 'last.qcow2'), { toolchain })
    const compare = (path: string) =>
      toolchain.command(['qemu-img', 'compare', '-q', path, join(directory, 'disk.qcow2')])
    expect((await runUnchecked(compare(last))).exitCode).toBe(0)
    expect((await runUnchecked(compare(recording.basePath))).exitCode).toBe(1)
    qemu = await BareQemu.start(toolchain, ['-machine', 'none'])
  })

  it('let the largest request through that QEMU merges', async () => {
    const [path, logPath] = [join(directory, 'alone.raw'), join(directory, 'alone.log')]
    await writeFile(path, Buffer.alloc(1024 * 1024))
    await writeFile(logPath, '')
    const node = logNode({ driver: 'raw', file: { driver: 'file', filename: path } }, logPath, false)
    const request = `writev -P 3 0${' 512'.repeat(1024)}`
    await run(toolchain.command(['qemu-io', '-c', request, `json:${JSON.stringify(node)}`]))
    const { entries } = await recordedWrites({ basePath: path, logPath }).log()
    expect(entries.reduce((sum, { length }) => sum + length, 0)).toBe(1024 * 512)
  })
})
