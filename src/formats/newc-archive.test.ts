import { describe, expect, it } from 'vitest'
import { type NewcTarget, NewcWriter, newcArchive } from './index.ts'

const target: NewcTarget = { directory: '.extra/credentials', directoryMode: 0o500, fileMode: 0o400 }

describe('newcArchive()', () => {
  it('writes directories, files and trailer byte for byte', () => {
    const archive = Buffer.from(newcArchive(target, [{ name: 'a.cred', content: Buffer.from('hello') }]))
    const zero = '00000000'
    const record = (inode: string, mode: string, size: string, nameSize: string): string =>
      ['070701', inode, mode, zero, zero, '00000001', zero, size, zero, zero, zero, zero, nameSize, zero].join('')
    expect(archive.toString('latin1').split(/(?=070701)/)).toEqual([
      `${record('00000001', '0000416d', zero, '00000007')}.extra\0\0\0\0`,
      `${record('00000002', '00004140', zero, '00000013')}.extra/credentials\0\0\0\0`,
      `${record('00000003', '00008100', '00000005', '0000001a')}.extra/credentials/a.cred\0hello\0\0\0`,
      `${record(zero, zero, zero, '0000000B')}TRAILER!!!\0\0\0\0`,
    ])
    expect(archive.byteLength % 4).toBe(0)
    expect(archive.byteLength - archive.indexOf('070701000000000000000')).toBe(124)
  })

  it('counts inodes on where several archives belong together', () => {
    const first = new NewcWriter()
    first.directories(target)
    first.file(target, 'a', new Uint8Array())
    expect(first.nextInode).toBe(4)
    const second = new NewcWriter(first.nextInode)
    second.directories({ directory: '.extra', directoryMode: 0o555, fileMode: 0o444 })
    expect(Buffer.from(second.finish()).toString('latin1', 6, 22)).toBe('000000040000416d')
  })
})
