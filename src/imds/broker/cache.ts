import {
  closeSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { attribute, bootTimeUSec, setAttribute } from '../../system/index.ts'
import { FileMemory } from './file-memory.ts'
import { MAX_DATA_BYTES, MAX_TOKEN_BYTES } from './limits.ts'

const TIMESTAMP = 'user.imds.timestamp'
const RESULT = 'user.imds.result'
const ABSENT = 'key-not-found'
/** More than metadata has keys. */
const MAX_PATHS = 1024
/** A file name is not longer (NAME_MAX). */
const MAX_NAME_BYTES = 255

export interface Token {
  readonly token: string
  /** Of the clock that goes on while the system sleeps. */
  readonly validUntilUSec: number
}

interface Answer {
  /** When its request began. */
  readonly takenUSec: number
  readonly value: Uint8Array | 'absent'
}

/** What is remembered of the endpoint behind one interface, in files that systemd's own broker reads and writes too. */
export class InterfaceCache {
  readonly #directory: string
  readonly #answers = new FileMemory<Answer>()
  readonly #paths = new Map<string, string | undefined>()

  constructor(runtimeDirectory: string, interfaceName: string) {
    this.#directory = join(runtimeDirectory, 'cache', interfaceName)
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o755 })
    } catch {
      // Then nothing is remembered.
    }
  }

  /** The value of a key, `absent` where the endpoint has none; undefined when nothing fresh is here. */
  read(key: string, refreshUSec: number): Uint8Array | 'absent' | undefined {
    const path = this.#path(key)
    if (path === undefined) return undefined
    const answer = this.#answers.read(path, () => readAnswer(path))
    if (answer === undefined || answer.takenUSec + refreshUSec > bootTimeUSec()) return answer?.value
    unlinkIfThere(path)
    this.#answers.forget(path)
    return undefined
  }

  /** Remembers a value, or that there is none, as of the start of its request. */
  write(key: string, value: Uint8Array | 'absent', startUSec: number): void {
    const path = this.#path(key)
    if (path === undefined) return
    this.#place(path, value === 'absent' ? new Uint8Array() : value, (fd) => {
      const stamp = Buffer.alloc(8)
      stamp.writeBigUInt64LE(BigInt(startUSec))
      setAttribute(fd, TIMESTAMP, stamp)
      if (value === 'absent') setAttribute(fd, RESULT, Buffer.from(ABSENT))
    })
    this.#answers.forget(path)
  }

  readToken(): Token | undefined {
    const path = join(this.#directory, 'token')
    return readFile(path, 2 * MAX_TOKEN_BYTES, (_fd, content) => {
      const token = parseToken(content().toString())
      if (token !== undefined && token.validUntilUSec > bootTimeUSec()) return token
      unlinkSync(path)
      return undefined
    })
  }

  writeToken(token: Token): void {
    this.#place(join(this.#directory, 'token'), Buffer.from(`${JSON.stringify(token)}\n`))
  }

  dropToken(): void {
    unlinkIfThere(join(this.#directory, 'token'))
  }

  #path(key: string): string | undefined {
    if (this.#paths.has(key)) return this.#paths.get(key)
    const name = `key-${escapeKey(key)}`
    const path = name.length > MAX_NAME_BYTES ? undefined : join(this.#directory, name)
    if (this.#paths.size >= MAX_PATHS) this.#paths.clear()
    this.#paths.set(key, path)
    return path
  }

  /** What cannot be remembered is asked for again. */
  #place(path: string, content: Uint8Array, mark: (fd: number) => void = () => undefined): void {
    try {
      placeFile(this.#directory, path, content, 0o600, mark)
    } catch {
      // A full or foreign file system is no reason not to answer.
    }
  }
}

/** `/`, `.` and `\`, and whatever is no printable ASCII, as `\x2f` and so on. */
export function escapeKey(key: string): string {
  return [...Buffer.from(key)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      const isPlain = byte >= 0x20 && byte < 0x7f && !'/.\\'.includes(character)
      return isPlain ? character : `\\x${byte.toString(16).padStart(2, '0')}`
    })
    .join('')
}

/** Where the name of the interface is kept that has answered before. */
export function pinnedPath(runtimeDirectory: string): string {
  return join(runtimeDirectory, 'ifname')
}

/** The interface that has answered before. */
export function readPinnedName(runtimeDirectory: string): string | undefined {
  return readFile(pinnedPath(runtimeDirectory), 256, (_fd, content) => content().toString().trim())
}

export function pinName(runtimeDirectory: string, name: string): void {
  if (readPinnedName(runtimeDirectory) === name) return
  try {
    mkdirSync(runtimeDirectory, { recursive: true, mode: 0o755 })
    placeFile(runtimeDirectory, pinnedPath(runtimeDirectory), Buffer.from(`${name}\n`), 0o644, () => undefined)
  } catch {
    // Then the next call searches again.
  }
}

export function unpinName(runtimeDirectory: string): void {
  unlinkIfThere(pinnedPath(runtimeDirectory))
}

/** Undefined for what is no answer: it goes, so that a good one can take its place. */
function readAnswer(path: string): Answer | undefined {
  return readFile(path, MAX_DATA_BYTES, (fd, content) => {
    const stamp = attribute(fd, TIMESTAMP, 8)
    if (stamp?.length !== 8) {
      unlinkIfThere(path)
      return undefined
    }
    const isAbsent = attribute(fd, RESULT, 64)?.toString('latin1') === ABSENT
    return { takenUSec: Number(stamp.readBigUInt64LE()), value: isAbsent ? 'absent' : content() }
  })
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Somebody else was faster, or it was never there.
  }
}

function placeFile(
  directory: string,
  path: string,
  content: Uint8Array,
  mode: number,
  mark: (fd: number) => void,
): void {
  // Nobody is to be kept from guessing it, and cryptography takes as long to load as a call takes.
  const aside = join(directory, `.#${Math.random().toString(16).slice(2)}`)
  const fd = openSync(aside, 'wx', mode)
  try {
    fchmodSync(fd, mode)
    writeFileSync(fd, content)
    mark(fd)
    renameSync(aside, path)
  } catch (error) {
    unlinkSync(aside)
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Undefined for what is not there, longer than it can be, or cannot be read. */
function readFile<T>(
  path: string,
  maxBytes: number,
  use: (fd: number, content: () => Buffer) => T | undefined,
): T | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    return fstatSync(fd).size > maxBytes ? undefined : use(fd, () => readFileSync(fd))
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

function parseToken(text: string): Token | undefined {
  try {
    const { token, validUntilUSec } = JSON.parse(text) as Partial<Token>
    if (typeof token !== 'string' || typeof validUntilUSec !== 'number') return undefined
    return { token, validUntilUSec }
  } catch {
    return undefined
  }
}
