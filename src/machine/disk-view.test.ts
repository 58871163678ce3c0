import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { diskView } from './disk-view.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

describe.skipIf(toolchain === undefined)('diskView() (needs the tools: ./bootwright setup)', () => {
  const MiB = 1024 * 1024
  let directory: string
  let path: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-disk-view-'))
    const raw = join(directory, 'disk.raw')
    path = join(directory, 'disk.qcow2')
    const definitions = join(directory, 'definitions')
    await mkdir(definitions)
    const definition = (type: string, label: string, size: string) =>
      `[Partition]\nType=${type}\nLabel=${label}\nSizeMinBytes=${size}\nSizeMaxBytes=${size}\n`
    await writeFile(join(definitions, '1.conf'), definition('esp', 'esp', '1M'))
    await writeFile(join(definitions, '2.conf'), definition('linux-generic', 'my root', '32M'))
    // biome-ignore format: options
    await run(toolchain.command([
      'systemd-repart', '--empty=create', '--size=64M', '--dry-run=no', '--offline=yes', `--definitions=${definitions}`, raw,
    ]))
    await run(toolchain.command(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', raw, path]))
    // In the overlay alone.
    const { offset } = (await diskView(toolchain, path)).partition('my root')
    await run(toolchain.command(['qemu-io', '-f', 'qcow2', '-c', `write -q -P 0x5a ${offset} 512`, path]))
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('reads the table and any bytes through the overlay', async () => {
    const disk = await diskView(toolchain, path)
    expect(disk.size).toBe(64 * MiB)
    expect(disk.partitions.map(({ name, size }) => [name, size])).toEqual([
      ['esp', MiB],
      ['my root', 32 * MiB],
    ])
    expect(disk.partition('my root').number).toBe(2)
    expect(disk.partition(1).name).toBe('esp')
    const bytes = await disk.read(disk.partition(2).offset - 3, 520)
    expect(bytes.toString('hex')).toBe('000000'.concat('5a'.repeat(512), '0000000000'))
    expect(await disk.read(disk.size, 0)).toHaveLength(0)
  })

  it('refuses what is not there', async () => {
    const disk = await diskView(toolchain, path)
    expect(() => disk.partition('root')).toThrow(/There is no partition "root"; there are: esp, my root/)
    await expect(disk.read(disk.size - 1, 2)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(disk.read(-1, 2)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('takes the backup of a damaged table, and says what is wrong with a disk without one', async () => {
    const damaged = join(directory, 'damaged.qcow2')
    await run(toolchain.command(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', path, damaged]))
    await run(toolchain.command(['qemu-io', '-f', 'qcow2', '-c', 'write -q -P 0 512 512', damaged]))
    expect((await diskView(toolchain, damaged)).gpt).toMatchObject({ used: 'backup', primary: { state: 'damaged' } })
    const empty = join(directory, 'empty.qcow2')
    await run(toolchain.command(['qemu-img', 'create', '-q', '-f', 'qcow2', empty, '1M']))
    const blank = await diskView(toolchain, empty)
    expect(() => blank.partitions).toThrow(expect.objectContaining({ code: 'MALFORMED_INPUT' }))
    expect(await blank.read(0, 3)).toEqual(Buffer.alloc(3))
    const none = join(directory, 'none.qcow2')
    await writeFile(none, 'no disk')
    await expect(diskView(toolchain, none)).rejects.toMatchObject({ code: 'TOOL_FAILED' })
  })
})
