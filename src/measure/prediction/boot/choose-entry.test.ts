import { describe, expect, it } from 'vitest'
import { diskOf, type EfiVariable, parseBootCounter, parseGpt } from '../../../formats/index.ts'
import { bootDisk, loaderVariable } from './boot-disk.test-support.ts'
import { type BootEntry, compareEntries } from './boot-entries.ts'
import { systemPartitions } from './boot-volume.ts'
import { chooseEntry } from './choose-entry.ts'

const disk = diskOf(bootDisk({ esp: { 'a.efi': 'x' } }))
const [volume] = systemPartitions(disk, parseGpt(disk))

function entry(fileName: string, more: Partial<BootEntry> = {}): BootEntry {
  if (volume === undefined) throw new Error('the disk has no ESP')
  const counter = parseBootCounter(fileName, '.efi')
  const id = counter?.name ?? fileName
  return {
    id,
    idWithoutProfile: id,
    volume,
    path: `\\EFI\\Linux\\${fileName}`,
    kind: 'type2',
    profile: 0,
    initrds: [],
    extras: [],
    counter,
    ...more,
  }
}

const menu = (...entries: BootEntry[]): string[] => [...entries].sort(compareEntries).map(({ path }) => path.slice(11))

describe('compareEntries()', () => {
  it('puts the newest version of a system first', () => {
    const of = (version: string): BootEntry => entry(`a_${version}.efi`, { sortKey: 'a', version })
    expect(menu(of('1.9'), of('1.10'), of('1.10~rc1'))).toEqual(['a_1.10.efi', 'a_1.10~rc1.efi', 'a_1.9.efi'])
  })

  it('orders by sort key, then machine, before the version', () => {
    const of = (name: string, sortKey: string, machineId: string): BootEntry =>
      entry(`${name}.efi`, { sortKey, machineId, version: name })
    expect(menu(of('9', 'b', '1'), of('1', 'a', '2'), of('2', 'a', '1'))).toEqual(['2.efi', '1.efi', '9.efi'])
  })

  it('puts entries without a sort key behind those with one, newest name first', () => {
    expect(menu(entry('z9.efi'), entry('z10.efi'), entry('a.efi', { sortKey: 'zz' }))).toEqual([
      'a.efi',
      'z10.efi',
      'z9.efi',
    ])
  })

  it('puts what has no tries left last', () => {
    const newest = entry('a_2+0-3.efi', { sortKey: 'a', version: '2' })
    expect(menu(newest, entry('a_1.efi', { sortKey: 'a', version: '1' }))).toEqual(['a_1.efi', 'a_2+0-3.efi'])
    expect(menu(entry('a+1-2.efi'), entry('a+2-1.efi'), entry('a+2.efi'))).toEqual([
      'a+2.efi',
      'a+2-1.efi',
      'a+1-2.efi',
    ])
  })

  it('keeps the profiles of a UKI in order', () => {
    const profile = (number: number): BootEntry => entry('a.efi', { profile: number, path: `\\EFI\\Linux\\${number}` })
    expect(menu(profile(2), profile(0), profile(1))).toEqual(['0', '1', '2'])
  })
})

describe('chooseEntry()', () => {
  const entries = [entry('a_1.efi'), entry('a_2.efi'), entry('b_1+0-3.efi')]
  const choose = (conf: { default?: string; preferred?: string }, variables: EfiVariable[] = [], version = 262) =>
    chooseEntry(entries, conf, variables, version)?.id

  it('takes the first of the menu without any wish', () => {
    expect(choose({})).toBe('a_2.efi')
    expect(chooseEntry([], {}, [], 262)).toBeUndefined()
  })

  it('takes the first that fits the pattern of loader.conf, in any case', () => {
    expect(choose({ default: 'A_1*' })).toBe('a_1.efi')
    expect(choose({ default: 'b*' })).toBe('b_1.efi')
    expect(choose({ default: 'none*' })).toBe('a_2.efi')
  })

  it('prefers no entry that has no tries left, and knows no preference before 261', () => {
    expect(choose({ preferred: 'b*' })).toBe('a_2.efi')
    expect(choose({ preferred: 'a_1*', default: 'a_2*' })).toBe('a_1.efi')
    expect(choose({ preferred: 'a_1*', default: 'a_2*' }, [], 260)).toBe('a_2.efi')
  })

  it.for<[string, string[], string]>([
    ['once', ['LoaderEntryOneShot', 'LoaderEntryPreferred', 'LoaderEntryDefault'], 'a_1.efi'],
    ['preferred', ['LoaderEntryPreferred', 'LoaderEntryDefault'], 'a_1.efi'],
    ['default', ['LoaderEntryDefault'], 'a_1.efi'],
  ])('takes the one of the variables before that of loader.conf: %s', ([, [first = '', ...rest], expected]) => {
    const variables = [loaderVariable(first, 'a_1.efi'), ...rest.map((name) => loaderVariable(name, 'b_1.efi'))]
    expect(choose({ preferred: 'a_2*', default: 'a_2*' }, variables)).toBe(expected)
  })

  it('takes the last one booted where it is asked for', () => {
    const last = loaderVariable('LoaderEntryLastBooted', 'a_1.efi')
    expect(choose({ default: '@saved' }, [last])).toBe('a_1.efi')
    expect(choose({ default: '@saved' })).toBe('a_2.efi')
    expect(choose({}, [last])).toBe('a_2.efi')
    expect(choose({}, [last, loaderVariable('LoaderEntryDefault', '@saved')])).toBe('a_1.efi')
  })

  it('does not listen to variables of other vendors', () => {
    const foreign = {
      ...loaderVariable('LoaderEntryDefault', 'a_1.efi'),
      vendorGuid: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
    }
    expect(choose({}, [foreign])).toBe('a_2.efi')
  })
})
