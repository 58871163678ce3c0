import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain } from '../toolchain/index.ts'
import { keysFor, parseKeys, TYPEABLE } from './keys.ts'
import { Qmp } from './qmp.ts'
import { screenshot, sendKey, type } from './screen.ts'

const toolchain = await readyToolchain().catch(() => undefined)

describe('keysFor()', () => {
  it('knows every printable character of ASCII', () => {
    const printable = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index))
    expect([...TYPEABLE].sort()).toEqual(['\t', '\n', ...printable].sort())
    expect(keysFor('A')).toEqual(['shift', 'a'])
    expect(keysFor('"')).toEqual(['shift', 'apostrophe'])
    expect(keysFor(' ')).toEqual(['spc'])
  })

  it.for(['ü', '\0', '\x1b', '🙂'])('refuses %j', (character) => {
    expect(() => keysFor(character)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('parseKeys()', () => {
  it('reads keys that are pressed together', () => {
    expect(parseKeys('ctrl-alt-delete')).toEqual(['ctrl', 'alt', 'delete'])
    expect(parseKeys('Control-Enter')).toEqual(['ctrl', 'ret'])
  })

  it.for(['', '-', 'ctrl-', 'a b', 'ctrl+c'])('refuses %j', (text) => {
    expect(() => parseKeys(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe.skipIf(toolchain === undefined)('with QEMU (needs the tools: ./bootwright setup)', () => {
  let qemu: ChildProcess
  let qmp: Qmp

  beforeAll(async () => {
    // biome-ignore format: an option and its value on one line
    const [file = '', ...args] = toolchain?.command([
      'qemu-system-x86_64', '-nodefaults',
      '-machine', 'q35',
      '-display', 'none',
      '-chardev', 'socket,id=qmp,fd=3',
      '-mon', 'chardev=qmp,mode=control',
    ]).argv ?? []
    qemu = spawn(file, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
    qmp = await Qmp.connect(qemu.stdio[3] as Socket)
  })

  afterAll(async () => {
    await qmp?.execute('quit')
    if (qemu.exitCode === null) await once(qemu, 'exit')
  })

  it('every character has keys that it takes', async () => {
    await type(qmp, TYPEABLE)
  })

  it('takes other keys by name, and refuses names that there are not', async () => {
    await sendKey(qmp, 'shift-f10')
    await expect(sendKey(qmp, 'ctrl-nokey')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('nokey'),
    })
  })

  it('types nothing of a text that it cannot type whole', async () => {
    const sent: string[] = []
    const watched = { execute: (command: string) => Promise.resolve(sent.push(command)) } as unknown as Qmp
    await expect(type(watched, 'aü')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(sent).toEqual([])
  })

  it('has no picture without a screen', async () => {
    await expect(screenshot({ qmp, name: 'm', directory: import.meta.dirname })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'Machine "m" has no screen to take a picture of',
    })
  })
})
