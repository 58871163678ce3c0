/** What user data is to the import. */
export type UserData =
  /** Somebody else's: cloud-init's, a script, or bytes that are no text. */
  | { readonly kind: 'foreign'; readonly why: 'it holds a NUL byte' | 'it is neither marked nor JSON' }
  | { readonly kind: 'broken'; readonly why: string }
  | { readonly kind: 'credentials'; readonly entries: readonly CredentialEntry[] }

/** A credential, or why this entry is none. */
export type CredentialEntry =
  | { readonly name: string; readonly content: Uint8Array; readonly isEncrypted: boolean }
  | { readonly problem: string }

const MARK = '#systemd-userdata\n'
const MEMBERS: ReadonlySet<string> = new Set(['name', 'text', 'data', 'encrypted'])
/** Names of credentials are names of files (systemd.exec(5)). */
const MAX_NAME_BYTES = 255

/**
 * Reads the credentials in user data: JSON whose member `systemd.credentials` is an array of objects, by itself or behind a line
 * that marks it.
 */
export function parseUserData(bytes: Uint8Array): UserData {
  if (bytes.includes(0)) return { kind: 'foreign', why: 'it holds a NUL byte' }
  const text = Buffer.from(bytes).toString('utf8')
  const isMarked = text.startsWith(MARK)
  if (!isMarked && !/^[ \t\r\n]*\{[ \t\r\n]*["}]/.test(text)) {
    return { kind: 'foreign', why: 'it is neither marked nor JSON' }
  }
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(isMarked ? bytes.subarray(MARK.length) : bytes))
  } catch {
    // Whoever it is for may read it another way.
    return { kind: 'foreign', why: 'it is neither marked nor JSON' }
  }
  if (!isObject(json)) return { kind: 'broken', why: 'it is no object' }
  const credentials = Object.hasOwn(json, 'systemd.credentials') ? json['systemd.credentials'] : []
  if (!Array.isArray(credentials)) return { kind: 'broken', why: '"systemd.credentials" is no array' }
  return { kind: 'credentials', entries: credentials.map(parseEntry) }
}

function parseEntry(entry: unknown): CredentialEntry {
  if (!isObject(entry)) return { problem: 'An entry is no object' }
  const unknown = Object.keys(entry).find((member) => !MEMBERS.has(member))
  if (unknown !== undefined)
    return { problem: `An entry has a member ${JSON.stringify(unknown)}, which is none of them` }
  const { name, text, data, encrypted } = entry
  if (typeof name !== 'string') return { problem: 'An entry has no name' }
  if (!isCredentialName(name)) return { problem: `${JSON.stringify(name)} is no name of a credential` }
  if (text !== undefined && typeof text !== 'string') return { problem: `The text of "${name}" is no string` }
  const decoded = { data: decode(data), encrypted: decode(encrypted) }
  for (const [member, content] of Object.entries(decoded)) {
    if (content === 'invalid') return { problem: `"${member}" of "${name}" is no base64` }
  }
  // Nothing, encoded, is as if it were not there; a text may be empty.
  const contents = [
    ...(text === undefined ? [] : [{ content: Buffer.from(text), isEncrypted: false }]),
    ...(decoded.data instanceof Uint8Array ? [{ content: decoded.data, isEncrypted: false }] : []),
    ...(decoded.encrypted instanceof Uint8Array ? [{ content: decoded.encrypted, isEncrypted: true }] : []),
  ]
  const [only] = contents
  if (only === undefined || contents.length > 1)
    return { problem: `"${name}" has not exactly one of text, data and encrypted` }
  // What a string of JSON can hold and a text cannot: half a character.
  if (text !== undefined && !text.isWellFormed()) return { problem: `The text of "${name}" is no text` }
  return { name, ...only }
}

/** It becomes the name of a file in a directory that others read. */
export function isCredentialName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || !name.isWellFormed()) return false
  return !/[/:\p{Cc}]/u.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES
}

function decode(value: unknown): Uint8Array | 'invalid' | undefined {
  if (value === undefined) return undefined
  const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
  if (bytes === undefined) return 'invalid'
  return bytes.length === 0 ? undefined : bytes
}

/** White space may be in it, anything else that is no base64 not (RFC 4648, 4); undefined for that. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const digits = text.replace(/[ \t\r\n]/g, '')
  if (digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(digits)) return undefined
  return Buffer.from(digits, 'base64')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
