import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { attribute, bootTimeUSec, setAttribute } from '../../system/index.ts'
import { escapeKey, InterfaceCache, pinName, readPinnedName } from './cache.ts'

const MINUTE = 60_000_000
let root: string
let cache: InterfaceCache
const file = (name: string): string => join(root, 'cache', 'eth0', name)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'imds-cache-'))
  cache = new InterfaceCache(root, 'eth0')
})
afterEach(() => rmSync(root, { recursive: true }))

describe('InterfaceCache', () => {
  it('keeps a value where and how systemd keeps it', () => {
    const start = bootTimeUSec()
    cache.write('/meta-data/hostname', Buffer.from('a\0b'), start)
    const path = file('key-\\x2fmeta-data\\x2fhostname')
    expect(readFileSync(path, 'latin1')).toBe('a\0b')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(root, 'cache', 'eth0')).mode & 0o777).toBe(0o755)
    const fd = openSync(path, 'r')
    expect(attribute(fd, 'user.imds.timestamp', 8)?.readBigUInt64LE()).toBe(BigInt(start))
    expect(attribute(fd, 'user.imds.result', 64)).toBeUndefined()
    closeSync(fd)
    expect(cache.read('/meta-data/hostname', MINUTE)).toEqual(Buffer.from('a\0b'))
    expect(readdirSync(join(root, 'cache', 'eth0'))).toHaveLength(1)
  })

  it('keeps that there is none', () => {
    cache.write('/x', 'absent', bootTimeUSec())
    expect(cache.read('/x', MINUTE)).toBe('absent')
    expect(statSync(file('key-\\x2fx')).size).toBe(0)
    cache.write('/x', Buffer.from('now'), bootTimeUSec())
    expect(cache.read('/x', MINUTE)).toEqual(Buffer.from('now'))
  })

  it('sees what another broker has written or removed meanwhile', async () => {
    const other = new InterfaceCache(root, 'eth0')
    cache.write('/x', Buffer.from('ours'), bootTimeUSec())
    expect(cache.read('/x', MINUTE)).toEqual(Buffer.from('ours'))
    other.write('/x', Buffer.from('theirs'), bootTimeUSec())
    await nextTurn()
    expect(cache.read('/x', MINUTE)).toEqual(Buffer.from('theirs'))
    rmSync(file('key-\\x2fx'))
    await nextTurn()
    expect(cache.read('/x', MINUTE)).toBeUndefined()
  })

  it('removes what is too old for this caller', () => {
    cache.write('/x', Buffer.from('old'), bootTimeUSec() - MINUTE)
    expect(cache.read('/x', 2 * MINUTE)).toBeDefined()
    expect(cache.read('/x', MINUTE)).toBeUndefined()
    expect(cache.read('/x', 2 * MINUTE)).toBeUndefined()
  })

  it('does not believe a file without a time, or one that is longer than any value', () => {
    cache.write('/x', Buffer.from('x'), bootTimeUSec())
    writeFileSync(file('key-\\x2fy'), 'y')
    expect(cache.read('/y', MINUTE)).toBeUndefined()
    truncateSync(file('key-\\x2fx'), 4 * 1024 * 1024 + 1)
    expect(cache.read('/x', MINUTE)).toBeUndefined()
  })

  it('does not remember what would need a longer name than a file may have', () => {
    const [fits, tooLong] = [`/${'a'.repeat(247)}`, `/${'a'.repeat(248)}`]
    for (const key of [fits, tooLong]) cache.write(key, Buffer.from('x'), bootTimeUSec())
    expect(cache.read(fits, MINUTE)).toBeDefined()
    expect(cache.read(tooLong, MINUTE)).toBeUndefined()
  })

  it('keeps a token until its time is over', () => {
    const token = { token: 't"', validUntilUSec: bootTimeUSec() + MINUTE }
    cache.writeToken(token)
    expect(readFileSync(file('token'), 'utf8')).toBe(`${JSON.stringify(token)}\n`)
    expect(statSync(file('token')).mode & 0o777).toBe(0o600)
    expect(cache.readToken()).toEqual(token)
    cache.writeToken({ ...token, validUntilUSec: bootTimeUSec() })
    expect(cache.readToken()).toBeUndefined()
    cache.writeToken(token)
    cache.dropToken()
    expect(cache.readToken()).toBeUndefined()
  })

  it.for(['', 'null', '{', '{"token":1,"validUntilUSec":9e99}', '{"token":"t"}'])('reads no token of %j', (content) => {
    cache.writeToken({ token: 't', validUntilUSec: bootTimeUSec() + MINUTE })
    writeFileSync(file('token'), content)
    expect(cache.readToken()).toBeUndefined()
  })

  it('remembers nothing where it cannot write', () => {
    const nowhere = new InterfaceCache('/dev/null/nowhere', 'eth0')
    nowhere.write('/x', Buffer.from('x'), bootTimeUSec())
    expect(nowhere.read('/x', MINUTE)).toBeUndefined()
  })
})

describe('escapeKey()', () => {
  it.for([
    ['/a b', '\\x2fa b'],
    ['/../x', '\\x2f\\x2e\\x2e\\x2fx'],
    ['\\\x1f\x7f~', '\\x5c\\x1f\\x7f~'],
    ['ä', '\\xc3\\xa4'],
  ] as const)('escapes %j', ([key, name]) => {
    expect(escapeKey(key)).toBe(name)
  })
})

describe('pinName()', () => {
  it('leaves the name for everybody to read', () => {
    expect(readPinnedName(root)).toBeUndefined()
    pinName(root, 'eth0')
    expect(readFileSync(join(root, 'ifname'), 'utf8')).toBe('eth0\n')
    expect(statSync(join(root, 'ifname')).mode & 0o777).toBe(0o644)
    pinName(root, 'eth1')
    expect(readPinnedName(root)).toBe('eth1')
  })
})

describe('attributes of files', () => {
  it('are undefined where there are none or they are longer than wanted', () => {
    const path = join(root, 'x')
    const fd = openSync(path, 'w')
    expect(attribute(fd, 'user.a', 8)).toBeUndefined()
    setAttribute(fd, 'user.a', Buffer.from('123'))
    expect(attribute(fd, 'user.a', 3)?.toString()).toBe('123')
    expect(attribute(fd, 'user.a', 2)).toBeUndefined()
    expect(() => setAttribute(fd, 'nonsense.a', Buffer.from('1'))).toThrow(/EOPNOTSUPP|ENOTSUP/)
    closeSync(fd)
  })
})
