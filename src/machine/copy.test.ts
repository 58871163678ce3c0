import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Toolchain } from '../toolchain/index.ts'
import { copyIn } from './copy-in.ts'
import { copyOut } from './copy-out.ts'
import { type ShellGuest, shellGuest } from './shell-guest.test-support.ts'

/** The host's own programs. */
const toolchain = { command: (argv: readonly string[]) => ({ argv }) } as unknown as Toolchain
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))

/** A directory of programs without tar. */
function withoutTar(): string {
  const directory = shell.directory
  const programs = join(directory, 'programs')
  mkdirSync(programs)
  for (const place of ['/usr/bin', '/bin']) {
    for (const name of readdirSync(place)) {
      if (name !== 'tar' && !existsSync(join(programs, name))) symlinkSync(join(place, name), join(programs, name))
    }
  }
  return programs
}

let shell: ShellGuest

describe.for(['with tar in the guest', 'without'])('a copy %s', (kind) => {
  let source: string

  beforeEach(() => {
    shell = shellGuest()
    if (kind === 'without') {
      const programs = withoutTar()
      const bare = shellGuest({ PATH: programs })
      const first = shell
      shell = { ...bare, [Symbol.dispose]: () => [bare, first].map((one) => one[Symbol.dispose]()) }
    }
    source = join(shell.directory, 'source')
    mkdirSync(join(source, 'a b', 'empty'), { recursive: true })
    writeFileSync(join(source, 'a b', '-script'), '#!/bin/sh\n', { mode: 0o755 })
    writeFileSync(join(source, 'bytes\nof every kind'), everyByte)
    chmodSync(join(source, 'bytes\nof every kind'), 0o640)
    symlinkSync('../nowhere', join(source, 'link'))
    chmodSync(join(source, 'a b', 'empty'), 0o2711)
    chmodSync(source, 0o700)
  })

  afterEach(() => shell[Symbol.dispose]())

  function expectCopy(path: string): void {
    expect(readdirSync(path).sort()).toEqual(['a b', 'bytes\nof every kind', 'link'])
    expect(readFileSync(join(path, 'bytes\nof every kind')).equals(everyByte)).toBe(true)
    expect(statSync(join(path, 'bytes\nof every kind')).mode & 0o7777).toBe(0o640)
    expect(statSync(join(path, 'a b', '-script')).mode & 0o7777).toBe(0o755)
    expect(statSync(join(path, 'a b', 'empty')).mode & 0o7777).toBe(0o2711)
    expect(statSync(path).mode & 0o7777).toBe(0o700)
    expect(readlinkSync(join(path, 'link'))).toBe('../nowhere')
  }

  it('of a tree into the guest is whole', async () => {
    const target = join(shell.directory, 'made', 'on the way', 'copy')
    await copyIn(shell.guest, toolchain, source, `${target}/`)
    expectCopy(target)
    expect(readdirSync(join(target, '..'))).toEqual(['copy'])
  })

  it('of a tree out of the guest is whole', async () => {
    const target = join(shell.directory, 'made', 'copy')
    await copyOut(shell.guest, toolchain, source, target)
    expectCopy(target)
    expect(readdirSync(join(target, '..'))).toEqual(['copy'])
  })

  it('of a file replaces one, and keeps its mode; a large one too', async () => {
    const big = join(shell.directory, 'big')
    writeFileSync(big, Buffer.alloc(9 * 1024 * 1024, everyByte), { mode: 0o751 })
    const inside = join(shell.directory, 'inside')
    writeFileSync(inside, 'old')
    await copyIn(shell.guest, toolchain, big, inside)
    expect(readFileSync(inside).equals(readFileSync(big))).toBe(true)
    expect(statSync(inside).mode & 0o7777).toBe(0o751)
    const outside = join(shell.directory, 'outside')
    writeFileSync(outside, 'old')
    await copyOut(shell.guest, toolchain, inside, outside)
    expect(readFileSync(outside).equals(readFileSync(big))).toBe(true)
    expect(statSync(outside).mode & 0o7777).toBe(0o751)
  })

  it('never overwrites a directory, and leaves nothing behind', async () => {
    const target = join(shell.directory, 'target')
    mkdirSync(target)
    writeFileSync(join(target, 'mine'), 'mine')
    await expect(copyIn(shell.guest, toolchain, source, target)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(copyOut(shell.guest, toolchain, source, target)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(readdirSync(target)).toEqual(['mine'])
    expect(readdirSync(shell.directory).filter((name) => name.includes('.bw-'))).toEqual([])
  })

  it('says what it cannot read or write', async () => {
    const none = join(shell.directory, 'none')
    await expect(copyIn(shell.guest, toolchain, none, '/x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(copyIn(shell.guest, toolchain, source, 'x')).rejects.toThrow('absolute path')
    await expect(copyIn(shell.guest, toolchain, '/dev/null', `${none}-x`)).rejects.toThrow('no file, directory')
    await expect(copyIn(shell.guest, toolchain, source, '/proc/none/x')).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('/proc/none'),
    })
    await expect(copyOut(shell.guest, toolchain, none, `${none}-x`)).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('No such file'),
    })
    await expect(copyOut(shell.guest, toolchain, '/dev/null', `${none}-x`)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    expect(readdirSync(shell.directory).filter((name) => name.startsWith('none'))).toEqual([])
  })
})
