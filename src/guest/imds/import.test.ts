import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WellKnown } from '../../imds/index.ts'
import { ToolFailure } from '../tool-failure.ts'
import { type ImportOptions, importMetadata } from './import.ts'
import { userDataWord } from './measure-user-data.ts'
import type { Metadata } from './metadata.ts'

let directory: string
let run: string
let measured: string[]
let log: string[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'imds-import-'))
  run = join(directory, 'run')
  measured = []
  log = []
})
afterEach(() => rmSync(directory, { recursive: true }))

/** A cloud that has these values; one that is an error is what asking for it leads to. */
function cloud(values: Partial<Record<WellKnown, string | Uint8Array | Error>>): Metadata {
  return {
    async get(wellKnown = 'base') {
      const value = values[wellKnown]
      if (value instanceof Error) throw value
      return value === undefined ? undefined : Buffer.from(value)
    },
    vendor: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function importFrom(values: Parameters<typeof cloud>[0], options: Partial<ImportOptions> = {}): Promise<boolean> {
  return importMetadata(cloud(values), {
    runDirectory: run,
    compat: false,
    log: (line) => void log.push(line),
    measure: async (userData) => void measured.push(userDataWord(userData)),
    ...options,
  })
}

const credentials = (...all: unknown[]): string => JSON.stringify({ 'systemd.credentials': all })
const filesOf = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort()

describe('importMetadata()', () => {
  it('writes nothing outside the store of credentials, whatever their names', async () => {
    const names = ['../x', '../../x', '/etc/x', 'a/../../x', '..', '.', '', 'x\0', 'a\n', 'x'.repeat(4096), '\ud800']
    const userdata = credentials(...names.map((name) => ({ name, text: 'hostile' })), { name: 'good', text: 'good' })
    expect(await importFrom({ userdata })).toBe(false)
    expect(filesOf(directory)).toEqual(['run/credstore/good', 'run/systemd/imds/userdata'])
    expect(readFileSync(join(run, 'credstore/good'), 'utf8')).toBe('good')
  })

  it('keeps the first of two with one name', async () => {
    const userdata = credentials({ name: 'a', text: 'first' }, { name: 'a', text: 'second' })
    expect(await importFrom({ userdata })).toBe(true)
    expect(readFileSync(join(run, 'credstore/a'), 'utf8')).toBe('first')
  })

  it.for([
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x7b])],
    ['a bomb of gzip', Buffer.from('1f8b0800000000000003', 'hex')],
    ['deep nesting', Buffer.from(`{"a":${'['.repeat(1_000_000)}`)],
    ['4 MiB of one string', Buffer.from(`{"a":"${'x'.repeat(4_000_000)}"}`)],
  ] as const)('imports nothing of %s, and keeps it for others', async ([, userdata]) => {
    expect(await importFrom({ userdata })).toBe(true)
    expect(filesOf(directory)).toEqual(['run/systemd/imds/userdata'])
    expect(readFileSync(join(run, 'systemd/imds/userdata'))).toEqual(Buffer.from(userdata))
  })

  it('measures user data before it imports them, and imports them where they cannot be measured', async () => {
    const userdata = credentials({ name: 'a', text: 't' })
    await importFrom(
      { userdata },
      { measure: async (bytes) => void measured.push(`${bytes.length} ${filesOf(directory).length}`) },
    )
    expect(measured).toEqual([`${userdata.length} 0`])
    rmSync(run, { recursive: true })
    expect(await importFrom({ userdata }, { measure: () => Promise.reject(new Error('no TPM')) })).toBe(true)
    expect(log.join()).toContain('no TPM')
    expect(filesOf(run)).toContain('credstore/a')
  })

  it('imports the rest when one thing fails', async () => {
    const values = {
      hostname: new ToolFailure('no host name'),
      'ssh-key': 'ssh-ed25519 A',
      'ipv4-public': new ToolFailure('no'),
    }
    expect(await importFrom(values)).toBe(false)
    expect(filesOf(run)).toEqual(['credstore/ssh.authorized_keys.root'])
  })
})

describe('userDataWord()', () => {
  it('has the digest of all of it, and its beginning', () => {
    expect(userDataWord(Buffer.from('abc'))).toBe(
      'imds-userdata:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad:YWJj',
    )
    expect(userDataWord(Buffer.alloc(1000, 'x')).split(':')[2]).toBe(Buffer.alloc(256, 'x').toString('base64'))
  })
})
