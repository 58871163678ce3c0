import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { smallUki, tools } from './definition.test-support.ts'
import { differingByte, firstDifference } from './first-difference.ts'
import { FIRST_USABLE, gptDisk } from './gpt-disk.test-support.ts'
import { type DifferingFiles, locate } from './locate.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const noTools = {
  kind: 'host',
  identity: '',
  root: '/',
  command: (argv: readonly string[]) => ({ argv }),
  inside: (argv: readonly string[]) => ({ argv }),
  mkosi: (argv: readonly string[]) => ({ argv }),
  sandboxTree: undefined,
  versions: {},
} as const

/** Writes both and asks for the place of their first difference. */
async function place(role: DifferingFiles['role'], file: string, first: Buffer, second: Buffer): Promise<unknown> {
  const [one, other] = [join(directory, `one-${file}`), join(directory, `other-${file}`)]
  await writeFile(one, first)
  await writeFile(other, second)
  const offset = await firstDifference(one, other)
  if (offset === undefined) throw new Error('They are equal')
  return locate({ role, file, one, other, offset, toolchain: tools ?? noTools, scratchDirectory: directory })
}

function changed(bytes: Buffer, offset: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(offset) ^ 0xff, offset)
  return copy
}

describe('differingByte()', () => {
  it('finds the one byte, wherever it is', () => {
    for (const length of [1, 2, 3, 64, 65]) {
      const bytes = Buffer.alloc(length, 7)
      expect(differingByte(bytes, Buffer.from(bytes))).toBeUndefined()
      for (let at = 0; at < length; at++) expect(differingByte(bytes, changed(bytes, at))).toBe(at)
    }
  })

  it('takes the end of the shorter one for a difference', () => {
    expect(differingByte(Buffer.from('abc'), Buffer.from('abcd'))).toBe(3)
    expect(differingByte(Buffer.from(''), Buffer.from('d'))).toBe(0)
    expect(differingByte(Buffer.from('xbc'), Buffer.from('abcd'))).toBe(0)
  })
})

describe('firstDifference()', () => {
  it.for([0, 4_194_303, 4_194_304, 4_999_999])('finds byte %i of five million', async (at) => {
    const bytes = Buffer.alloc(5_000_000)
    await writeFile(join(directory, 'one'), bytes)
    await writeFile(join(directory, 'other'), changed(bytes, at))
    expect(await firstDifference(join(directory, 'one'), join(directory, 'other'))).toBe(at)
  })
})

describe('locate()', () => {
  it('names the section of a UKI', async () => {
    const uki = smallUki()
    expect(await place('uki', 'a.efi', uki, changed(uki, 0x203))).toBe('section .linux, byte 3 of it')
    expect(await place('uki', 'a.efi', uki, changed(uki, 0x88))).toBe('PE headers')
  })

  it('names the package that changed', async () => {
    const manifest = (...packages: [string, string][]): Buffer =>
      Buffer.from(JSON.stringify({ packages: packages.map(([name, version]) => ({ name, version })) }))
    const first = manifest(['apt', '1'], ['udev', '1'])
    expect(await place('manifest', 'm', first, manifest(['apt', '1'], ['udev', '2']))).toBe(
      'package udev: first 1, then 2',
    )
    expect(await place('manifest', 'm', first, manifest(['udev', '1']))).toBe('package apt: first 1, then not there')
  })

  it('names the file in an initrd, compressed or not', async () => {
    const first = cpio([
      ['etc', ''],
      ['etc/a', 'one'],
      ['etc/b', 'two'],
    ])
    const content = cpio([
      ['etc', ''],
      ['etc/a', 'one'],
      ['etc/b', 'TWO'],
    ])
    expect(await place('other', 'i.cpio', first, content)).toBe('content of etc/b')
    expect(await place('other', 'i.cpio.zst', zstdCompressSync(first), zstdCompressSync(content))).toBe(
      'content of etc/b',
    )
    const time = Buffer.from(first)
    time.write('00000001', 46)
    expect(await place('other', 'i.cpio', first, time)).toBe('mode, owner, time or number of etc')
    expect(
      await place(
        'other',
        'i.cpio',
        first,
        cpio([
          ['etc', ''],
          ['etc/b', 'two'],
        ]),
      ),
    ).toBe('etc/a is only in the first')
  })

  it('names the part of the partition table, and the partition', async () => {
    const disk = gptDisk(64, 'root')
    const moved = gptDisk(64, 'other')
    expect(await place('disk', 'd', disk, changed(disk, 3))).toBe('the protective MBR')
    // Its first difference is the CRC in the header.
    expect(await place('disk', 'd', disk, moved)).toBe('the primary GPT header')
    expect(await place('disk', 'd', disk, changed(disk, (FIRST_USABLE + 1) * 512))).toBe(
      'partition 1 (root), byte 512 of it',
    )
  })
})

describe.skipIf(tools === undefined)('locate() in file systems (needs `bootwright setup`)', () => {
  /** A disk whose partition holds what the command made of a file of that size. */
  async function diskWith(make: (partition: string) => Promise<unknown>): Promise<Buffer> {
    const sectors = 8192
    const partition = join(directory, 'partition')
    await writeFile(partition, Buffer.alloc(sectors * 512))
    await make(partition)
    const disk = gptDisk(sectors)
    disk.set(await readFile(partition), FIRST_USABLE * 512)
    return disk
  }

  const tool = (...argv: string[]): Promise<unknown> => {
    if (tools === undefined) throw new Error('skipped')
    return run(tools.command(argv))
  }

  const fat = (content: string): Promise<Buffer> =>
    diskWith(async (partition) => {
      await tool('mkfs.fat', '-i', '12345678', '--invariant', partition)
      await tool('mmd', '-i', partition, '::/EFI')
      await writeFile(join(directory, 'content'), content)
      await tool('mcopy', '-i', partition, join(directory, 'content'), '::/EFI/linux.efi')
    })

  const ext4 = (content: string, mode: string): Promise<Buffer> =>
    diskWith(async (partition) => {
      await writeFile(join(directory, 'content'), content)
      const uuid = '11111111-2222-4333-8444-555555555555'
      await tool('mkfs.ext4', '-q', '-U', uuid, '-E', `hash_seed=${uuid}`, '-O', '^metadata_csum', partition)
      await tool('debugfs', '-w', '-R', 'mkdir /etc', partition)
      await tool('debugfs', '-w', '-R', `write ${join(directory, 'content')} /etc/machine-id`, partition)
      await tool('debugfs', '-w', '-R', `set_inode_field /etc/machine-id mode ${mode}`, partition)
    })

  it('names the file in a FAT', async () => {
    expect(await place('disk', 'd', await fat('one'), await fat('two'))).toMatch(
      /^partition 1 \(esp\), byte \d+ of it: content of file \/EFI\/linux\.efi$/,
    )
  })

  it('names the file in an ext4, by content and by inode', async () => {
    const disk = await ext4('the content of a file\n', '0100644')
    const at = disk.indexOf('the content of a file')
    expect(await place('disk', 'd', disk, changed(disk, at))).toBe(
      `partition 1 (esp), byte ${at - FIRST_USABLE * 512} of it: content of /etc/machine-id`,
    )
    const inode = await inodeOffset(disk)
    expect(await place('disk', 'd', disk, changed(disk, inode))).toMatch(
      /: mode, owner, times or place of \/etc\/machine-id$/,
    )
  })

  /** Where the mode of the last file that was written lies. */
  async function inodeOffset(disk: Buffer): Promise<number> {
    await writeFile(join(directory, 'whole'), disk)
    if (tools === undefined) throw new Error('skipped')
    const device = `${join(directory, 'whole')}?offset=${FIRST_USABLE * 512}`
    const { stdout } = await run(tools.command(['debugfs', '-R', 'imap /etc/machine-id', device]))
    const [, block, offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(stdout) ?? []
    const blockSize = 1024 << disk.readUInt32LE(FIRST_USABLE * 512 + 1024 + 24)
    return FIRST_USABLE * 512 + Number(block) * blockSize + Number(offset)
  }
})

function cpio(files: [path: string, content: string][]): Buffer {
  const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.byteLength % 4)) % 4)])
  const members = [...files, ['TRAILER!!!', ''] as const].map(([path, content]) => {
    const fields = [1, 0o100644, 0, 0, 1, 0, content.length, 0, 0, 0, 0, path.length + 1, 0]
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
    return Buffer.concat([pad(Buffer.from(`${header}${path}\0`)), pad(Buffer.from(content))])
  })
  return Buffer.concat(members)
}
