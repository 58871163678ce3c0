import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** What a token is bound to: tokens of another service or instance, or from before a change of generation, are foreign. */
export interface TokenScope {
  readonly service: string
  readonly instanceId: string
  readonly generation: number
}

const MAGIC = Buffer.from([0x01, 0x00, 0x04, 0x00])
const MAC_BYTES = 24
const TOKEN_BYTES = MAGIC.length + 6 + 6 + MAC_BYTES

/**
 * Makes a token that carries its own lifetime under a keyed digest, so that nothing has to be remembered and any
 * number can be out at once. It is opaque to clients, and as long as those of EC2 (56 characters).
 */
export function issueToken(scope: TokenScope, nowMs: number, ttlSeconds: number): string {
  const token = Buffer.alloc(TOKEN_BYTES)
  MAGIC.copy(token)
  token.writeUIntBE(nowMs, 4, 6)
  token.writeUIntBE(nowMs + ttlSeconds * 1000, 10, 6)
  seal(scope, token).copy(token, TOKEN_BYTES - MAC_BYTES)
  return `${token.toString('base64url')}==`
}

/** Until when tokens live that were found genuine: clients send the same one with each request. */
const genuine = new Map<string, number>()
const MAX_GENUINE = 1024

/** Seconds that a token still lives, rounded up; undefined when it is foreign, damaged or past its lifetime. */
export function remainingSeconds(scope: TokenScope, token: string, nowMs: number): number | undefined {
  const name = `${scopeName(scope)} ${token}`
  const untilMs = genuine.get(name) ?? lifeOf(scope, token)
  if (untilMs === undefined) return undefined
  if (!genuine.has(name)) {
    if (genuine.size >= MAX_GENUINE) genuine.clear()
    genuine.set(name, untilMs)
  }
  const leftMs = untilMs - nowMs
  return leftMs > 0 ? Math.ceil(leftMs / 1000) : undefined
}

function lifeOf(scope: TokenScope, token: string): number | undefined {
  if (!/^[\w-]{54}==$/.test(token)) return undefined
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length !== TOKEN_BYTES || `${bytes.toString('base64url')}==` !== token) return undefined
  if (!timingSafeEqual(seal(scope, bytes), bytes.subarray(TOKEN_BYTES - MAC_BYTES))) return undefined
  return bytes.readUIntBE(10, 6)
}

/** The lifetime a client asks for, in seconds; undefined unless it is a whole number from 1 to the maximum. */
export function parseTtl(value: string | undefined, maxSeconds: number): number | undefined {
  if (value === undefined || !/^\d{1,5}$/.test(value)) return undefined
  const seconds = Number(value)
  return seconds >= 1 && seconds <= maxSeconds ? seconds : undefined
}

function seal(scope: TokenScope, token: Buffer): Buffer {
  const key = createHash('sha256').update(scopeName(scope)).digest()
  return createHmac('sha256', key)
    .update(token.subarray(0, TOKEN_BYTES - MAC_BYTES))
    .digest()
    .subarray(0, MAC_BYTES)
}

function scopeName({ service, generation, instanceId }: TokenScope): string {
  return `${service} ${generation} ${instanceId}`
}
