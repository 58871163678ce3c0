import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { directoryInstances, manifestInstances, partitionInstances, resourceDirectory } from './instances.ts'
import { partitionTypeNamed, unfinishedType } from './partition-types.ts'
import { parsePattern } from './pattern.ts'
import type { Instance, Resource } from './types.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-instances-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const USR = partitionTypeNamed('usr', 'x86-64') ?? ''

function resource(type: Resource['type'], patterns: string, path = directory): Resource {
  const parsed = patterns.split(' ').map(parsePattern)
  return { type, path, pathRelativeTo: 'root', patterns: parsed, partitionType: USR }
}

function files(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), '')
  }
}

const shown = (instances: readonly Instance[]) =>
  instances.map(({ fields, state, path }) => `${fields.version} ${state} ${path.replace(`${directory}/`, '')}`).sort()

const found = (type: Resource['type'], patterns: string) =>
  shown(directoryInstances(resource(type, patterns), directory))

describe('directoryInstances()', () => {
  it('finds files that fit, with what is unfinished, but no links and no directories', () => {
    files('a_1.raw', '.sysupdate.partial.a_2.raw', '.sysupdate.pending.a_3.raw', 'b_1.raw')
    mkdirSync(join(directory, 'a_4.raw'))
    symlinkSync('a_1.raw', join(directory, 'a_5.raw'))
    expect(found('regular-file', 'a_@v.raw')).toEqual([
      '1 complete a_1.raw',
      '2 partial .sysupdate.partial.a_2.raw',
      '3 pending .sysupdate.pending.a_3.raw',
    ])
    expect(found('directory', 'a_@v.raw')).toEqual(['4 complete a_4.raw'])
  })

  it('goes down where a pattern does, whatever the order of patterns', () => {
    files('d_1/image.raw', 'd_2/other.raw', 'd_3', 'x/y/b-4.bin', 'e/.sysupdate.partial.b-5.bin')
    for (const patterns of ['d_@v/image.raw d_@v', 'd_@v d_@v/image.raw']) {
      expect(found('regular-file', patterns)).toEqual(['1 complete d_1/image.raw', '3 complete d_3'])
    }
    expect(found('regular-file', '**/b-@v.bin')).toEqual([
      '4 complete x/y/b-4.bin',
      '5 partial e/.sysupdate.partial.b-5.bin',
    ])
  })

  it('does not follow links to directories, and takes a missing directory for an empty one', () => {
    files('outside/b-1.bin')
    mkdirSync(join(directory, 'in'))
    symlinkSync('../outside', join(directory, 'in/link'))
    expect(directoryInstances(resource('regular-file', '**/b-@v.bin'), join(directory, 'in'))).toEqual([])
    expect(directoryInstances(resource('regular-file', 'b_@v'), join(directory, 'none'))).toEqual([])
  })

  it('tells time and mode of what is there, unless the name does', () => {
    files('a_1', 'a_2_5_640')
    for (const name of ['a_1', 'a_2_5_640']) utimesSync(join(directory, name), 1_700_000_000, 1_700_000_000)
    const fields = directoryInstances(resource('regular-file', 'a_@v_@t_@m a_@v'), directory).map((one) => one.fields)
    expect(fields).toEqual(
      expect.arrayContaining([
        { version: '1', mtimeUs: 1_700_000_000_000_000n, mode: 0o644 },
        { version: '2', mtimeUs: 5n, mode: 0o640 },
      ]),
    )
    const names = directoryInstances(resource('regular-file', 'a_@v_@t_@m a_@v'), directory, { asksFiles: false })
    expect(names.map((one) => one.fields)).toEqual(
      expect.arrayContaining([{ version: '1' }, { version: '2', mtimeUs: 5n, mode: 0o640 }]),
    )
  })
})

describe('partitionInstances()', () => {
  it('finds labels of the type and of its unfinished types, and empty slots', () => {
    const partition = (number: number, typeGuid: string, name: string) => ({
      ...{ number, typeGuid, name, partitionGuid: `guid-${number}`, attributes: number === 1 ? 1n << 60n : 0n },
      ...{ firstLba: 1, lastLba: 1, offset: 512, size: 512, bytes: new Uint8Array() },
    })
    const partitions = [
      partition(1, USR, 'img_1'),
      partition(2, unfinishedType(USR, 'partial'), 'img_2'),
      partition(3, unfinishedType(USR, 'pending'), 'img_3'),
      partition(4, USR, '_empty'),
      partition(5, USR, 'other'),
      partition(6, partitionTypeNamed('root', 'x86-64') ?? '', 'img_6'),
    ]
    const { instances, empty } = partitionInstances(resource('partition', 'img_@v'), { partitions }, '/dev/nvme0n1')
    expect(shown(instances)).toEqual([
      '1 complete /dev/nvme0n1p1',
      '2 partial /dev/nvme0n1p2',
      '3 pending /dev/nvme0n1p3',
    ])
    expect(instances[0]?.fields).toEqual({
      version: '1',
      partitionUuid: 'guid-1',
      partitionFlags: 1n << 60n,
      readOnly: true,
    })
    expect(empty.map(({ number }) => number)).toEqual([4])
    expect(partitionInstances(resource('partition', 'img_@v'), { partitions }, '/dev/vda').instances[0]?.path).toBe(
      '/dev/vda1',
    )
    expect(partitionInstances(resource('partition', 'img_@v'), { partitions }, '/x.img').instances[0]?.path).toBe(
      '/x.img#1',
    )
  })
})

describe('manifestInstances()', () => {
  it('finds names that fit, and refuses a name with the hash of another file', () => {
    const [hash, other] = ['aa'.repeat(32), 'bb'.repeat(32)]
    const manifest = [
      { name: 'c_1.raw', sha256: hash },
      { name: `c_2_${hash}.raw`, sha256: hash },
      { name: `c_3_${other}.raw`, sha256: hash },
      { name: 'BEST-BEFORE-2030-01-01', sha256: hash },
    ]
    const instances = manifestInstances(resource('url-file', 'c_@v_@h.raw c_@v.raw', 'http://a/b/?x=1'), manifest)
    expect(instances.map(({ path }) => path)).toEqual(['http://a/b/c_1.raw', `http://a/b/c_2_${hash}.raw`])
    expect(instances[0]?.fields).toEqual({ version: '1', sha256: hash })
  })
})

describe('resourceDirectory()', () => {
  it('stays below its base, and takes no links on the EFI and boot partitions', () => {
    symlinkSync('/etc', join(directory, 'link'))
    const at = (pathRelativeTo: Resource['pathRelativeTo'], path: string, bases = {}) =>
      resourceDirectory({ path, pathRelativeTo }, directory, bases)
    expect(at('root', '/link/x')).toBe(`${directory}/etc/x`)
    expect(at('esp', '/x')).toBeUndefined()
    expect(at('boot', '/x', { esp: '/efi' })).toBe('/efi/x')
    expect(at('boot', '/x', { esp: '/efi', xbootldr: '/boot' })).toBe('/boot/x')
    expect(at('esp', '/x', { esp: '/efi', xbootldr: '/boot' })).toBe('/efi/x')
    expect(at('explicit', '/x', { explicit: '/out' })).toBe('/out/x')
    expect(() => at('esp', '/link', { esp: directory })).toThrowError(/symbolic link/)
  })
})
