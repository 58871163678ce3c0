import { malformed } from '../formats/index.ts'

export type VarlinkParameters = Readonly<Record<string, unknown>>

/** What a client sends (varlink.org, "Method Call"). */
export interface CallMessage {
  /** Name of interface and method, as `org.varlink.service.GetInfo`. */
  readonly method: string
  readonly parameters: VarlinkParameters
  /** The caller takes any number of replies. */
  readonly more: boolean
  /** The caller wants no reply. */
  readonly oneway: boolean
  /** After the reply, the connection speaks another protocol. */
  readonly upgrade: boolean
}

/** What a service sends (varlink.org, "Method Reply"). */
export interface ReplyMessage {
  readonly parameters: VarlinkParameters
  /** Name of the error, as `org.varlink.service.MethodNotFound`. */
  readonly error: string | undefined
  /** More replies follow. */
  readonly continues: boolean
}

/** As deep as systemd reads. */
const MAX_NESTING = 2048

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads one message without its NUL; rejects with `MALFORMED_INPUT` what systemd ends a connection for. */
export function parseCall(bytes: Uint8Array): CallMessage {
  const message = parseObject(bytes, ['method', 'parameters', 'more', 'oneway', 'upgrade'])
  const { method } = message
  if (typeof method !== 'string') return refuse('method', 'a string', method)
  const [more, oneway, upgrade] = [flag(message, 'more'), flag(message, 'oneway'), flag(message, 'upgrade')]
  if (oneway && (more || upgrade)) refuse('oneway', 'no other flag beside it', { more, upgrade })
  return { method, parameters: parametersOf(message), more, oneway, upgrade }
}

/** The same for a reply. */
export function parseReply(bytes: Uint8Array): ReplyMessage {
  const message = parseObject(bytes, ['parameters', 'error', 'continues'])
  const { error } = message
  if (error !== undefined && (typeof error !== 'string' || error === '')) return refuse('error', 'a name', error)
  const continues = flag(message, 'continues')
  if (continues && error !== undefined) refuse('continues', 'no more replies after an error', continues)
  return { parameters: parametersOf(message), error, continues }
}

/** A call as bytes, NUL included. */
export function formatCall(call: Pick<CallMessage, 'method'> & Partial<CallMessage>): Buffer {
  const { method, parameters, more, oneway, upgrade } = call
  const flags = { ...(more && { more }), ...(oneway && { oneway }), ...(upgrade && { upgrade }) }
  return frame({ method, ...(parameters !== undefined && { parameters }), ...flags })
}

/** A reply as bytes, NUL included. As systemd's, an error without parameters has no such member. */
export function formatReply({ error, parameters, continues }: Partial<ReplyMessage>): Buffer {
  if (error === undefined) return frame({ parameters: parameters ?? {}, ...(continues && { continues }) })
  const isBare = parameters === undefined || Object.keys(parameters).length === 0
  return frame({ error, ...(isBare ? {} : { parameters }) })
}

function frame(message: object): Buffer {
  return Buffer.from(`${jsonOf(message)}\0`)
}

function jsonOf(message: object): string {
  try {
    return JSON.stringify(message)
  } catch {
    // To look at every value takes twice as long, and few messages have any that JSON has no word for.
    return JSON.stringify(message, (_, value: unknown) =>
      typeof value === 'bigint' ? RawJson.rawJSON(String(value)) : value,
    )
  }
}

/** Not in the library of types yet (TC39, "JSON.parse source text access"). */
const RawJson = JSON as unknown as { rawJSON(text: string): object }

function parseObject(bytes: Uint8Array, known: readonly string[]): Readonly<Record<string, unknown>> {
  const message = parseJson(bytes)
  if (!isObject(message)) return refuse('message', 'an object', message)
  const unknown = Object.keys(message).find((name) => !known.includes(name))
  if (unknown !== undefined) refuse('message', `only ${known.join(', ')}`, unknown)
  return message
}

/** JSON whose depth is bounded; whole numbers that a number cannot hold become bigint. */
function parseJson(bytes: Uint8Array): unknown {
  const deep = findTooDeep(bytes)
  if (deep !== undefined) {
    throw malformed({ what: WHAT, field: 'JSON', offset: deep }, `expected at most ${MAX_NESTING} levels`)
  }
  try {
    const text = strictUtf8.decode(bytes)
    return /\d{16}/.test(text) ? JSON.parse(text, exactInteger) : JSON.parse(text)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause)
    throw malformed({ what: WHAT, field: 'JSON', offset: 0 }, problem, { cause })
  }
}

const WHAT = 'varlink message'

/** Offset of the first bracket beyond the depth. Looks at bytes only: what is not JSON is somebody else's to tell. */
function findTooDeep(bytes: Uint8Array): number | undefined {
  let depth = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > MAX_NESTING) return at
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
  }
  return undefined
}

const [QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

function exactInteger(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  return /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value
}

function parametersOf({ parameters }: Readonly<Record<string, unknown>>): VarlinkParameters {
  if (parameters === undefined || parameters === null) return {}
  return isObject(parameters) ? parameters : refuse('parameters', 'an object', parameters)
}

function flag(message: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = message[name] ?? (Object.hasOwn(message, name) ? null : false)
  return typeof value === 'boolean' ? value : refuse(name, 'true or false', value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refuse(field: string, expectation: string, found: unknown): never {
  const shown = found === undefined ? 'nothing' : String(JSON.stringify(found, short)).slice(0, 100)
  throw malformed({ what: WHAT, field, offset: 0 }, `expected ${expectation}, found ${shown}`)
}

function short(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
