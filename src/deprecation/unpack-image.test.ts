import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { readyToolchain } from '../toolchain/index.ts'
import { scanTree } from './scan-tree.ts'
import { unpackImage } from './unpack-image.ts'

const toolchain = await readyToolchain().catch(() => undefined)
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-unpack-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe.skipIf(toolchain === undefined)('unpackImage() (needs `bootwright setup`)', () => {
  /** A disk that systemd-repart makes, with one partition. */
  async function disk(partition: string): Promise<string> {
    await mkdir(join(directory, 'root/etc'), { recursive: true })
    await writeFile(join(directory, 'root/etc/uses'), 'ls /run/boot-loader-entries\n')
    await mkdir(join(directory, 'repart.d'))
    await writeFile(join(directory, 'repart.d/10.conf'), partition)
    const path = join(directory, 'disk.raw')
    const repart = ['systemd-repart', '--empty=create', '--size=auto', '--offline=yes', '--dry-run=no', '--seed=random']
    const places = [`--definitions=${directory}/repart.d`, `--copy-source=${directory}/root`, path]
    await run(toolchain?.command([...repart, ...places]) ?? { argv: ['false'] })
    return path
  }

  it('copies the files of the disk, which can be scanned then', async () => {
    const path = await disk('[Partition]\nType=root\nFormat=ext4\nCopyFiles=/\nSizeMinBytes=16M\n')
    const out = join(directory, 'out')
    await mkdir(out)
    await unpackImage(path, out, toolchain as NonNullable<typeof toolchain>)
    const { findings } = await scanTree(out)
    expect(findings.map((one) => `${one.path}:${one.line}`)).toEqual(['etc/uses:1'])
  })

  it('says so when there is no file system that it reads', async () => {
    const path = await disk('[Partition]\nType=swap\nSizeMinBytes=16M\n')
    await expect(unpackImage(path, directory, toolchain as NonNullable<typeof toolchain>)).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
    })
  })
})
