import { malformed } from '../formats/index.ts'
import type { BootwrightError } from '../system/index.ts'
import { type Digests, HASH_ALGORITHMS, type HashAlgorithm, hashAlgorithmFacts } from './hash-algorithms.ts'
import { PCR_COUNT } from './pcr-values.ts'
import type { PcrExtend } from './replay.ts'

/** One record of systemd's userspace measurement log, `/run/log/systemd/tpm2-measure.log`. */
export interface UserspaceRecord {
  /** Byte offset in the log. */
  readonly offset: number
  readonly target: { readonly kind: 'pcr'; readonly pcr: number } | { readonly kind: 'nv'; readonly nvIndex: number }
  readonly digests: Digests
  /** Not covered by any digest, but for the text of most event types. */
  readonly unverified: {
    readonly eventType?: string
    /** What was measured, C-escaped and cut at 1024 bytes; of a volume key only a description. */
    readonly string?: string
    readonly nvIndexName?: string
    readonly bootId?: string
    /** Microseconds since boot (CLOCK_BOOTTIME). */
    readonly timestamp?: number
  }
}

export interface UserspaceLog {
  readonly records: readonly UserspaceRecord[]
  /** Records whose writing never ended: what was extended for them is unknown. */
  readonly unfinished: readonly { readonly offset: number; readonly size: number }[]
  /** The file's sticky bit is set: a writer died between the TPM's extend and the log, a record may be missing. */
  readonly isDirty: boolean
}

const WHAT = 'userspace measurement log'
const RECORD_SEPARATOR = 0x1e
const LINE_FEED = 0x0a
const STICKY_BIT = 0o1000

/**
 * Reads the userspace log: a JSON text sequence (RFC 7464), every record 0x1e, one line of JSON, line feed.
 *
 * A record without its line feed was cut while it was written and is reported in `unfinished`. A finished record that is
 * not what systemd writes is `MALFORMED_INPUT`. No bytes at all are a log without records.
 *
 * @param fileMode mode bits of the file, for the dirty mark
 */
export function parseUserspaceLog(bytes: Uint8Array, options: { fileMode?: number } = {}): UserspaceLog {
  const records: UserspaceRecord[] = []
  const unfinished: { offset: number; size: number }[] = []
  let offset = 0
  while (offset < bytes.byteLength) {
    if (bytes[offset] !== RECORD_SEPARATOR) {
      throw malformed({ what: WHAT, field: 'record separator', offset }, `expected 0x1e, found ${bytes[offset]}`)
    }
    const next = bytes.indexOf(RECORD_SEPARATOR, offset + 1)
    const end = next === -1 ? bytes.byteLength : next
    if (bytes[end - 1] === LINE_FEED) records.push(readRecord(bytes.subarray(offset + 1, end), offset))
    else unfinished.push({ offset, size: end - offset })
    offset = end
  }
  return { records, unfinished, isDirty: ((options.fileMode ?? 0) & STICKY_BIT) !== 0 }
}

/** The records that extended PCRs, in log order; NvPCRs are no PCRs. */
export function userspaceExtends(log: UserspaceLog): PcrExtend[] {
  return log.records.flatMap(({ target, digests }) => (target.kind === 'pcr' ? [{ pcr: target.pcr, digests }] : []))
}

type JsonObject = Readonly<Record<string, unknown>>

function readRecord(bytes: Uint8Array, offset: number): UserspaceRecord {
  const fail = (field: string, problem: string, cause?: unknown): BootwrightError =>
    malformed({ what: WHAT, field, offset }, problem, cause === undefined ? {} : { cause })
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw fail('record', 'is not JSON', cause)
  }
  if (!isObject(json)) throw fail('record', 'expected a JSON object')
  const content = isObject(json.content) ? json.content : {}
  return {
    offset,
    target: readTarget(json, fail),
    digests: readDigests(json.digests, fail),
    unverified: {
      ...textField(content, 'eventType'),
      ...textField(content, 'string'),
      ...textField(content, 'nvIndexName'),
      ...textField(content, 'bootId'),
      ...(typeof content.timestamp === 'number' ? { timestamp: content.timestamp } : {}),
    },
  }
}

type Fail = (field: string, problem: string) => BootwrightError

function readTarget(json: JsonObject, fail: Fail): UserspaceRecord['target'] {
  const { pcr, nv_index: nvIndex } = json
  if ((pcr === undefined) === (nvIndex === undefined)) throw fail('pcr', 'expected either pcr or nv_index')
  if (pcr !== undefined) {
    if (isIntegerBelow(pcr, PCR_COUNT)) return { kind: 'pcr', pcr }
    throw fail('pcr', `expected 0 to ${PCR_COUNT - 1}, found ${JSON.stringify(pcr)}`)
  }
  if (isIntegerBelow(nvIndex, 2 ** 32)) return { kind: 'nv', nvIndex }
  throw fail('nv_index', `expected a TPM handle, found ${JSON.stringify(nvIndex)}`)
}

function readDigests(json: unknown, fail: Fail): Digests {
  if (!Array.isArray(json) || json.length === 0) throw fail('digests', 'expected a list of digests')
  const digests = new Map<HashAlgorithm, Uint8Array>()
  for (const entry of json) {
    if (!isObject(entry) || typeof entry.digest !== 'string' || typeof entry.hashAlg !== 'string') {
      throw fail('digests', 'expected objects with hashAlg and digest')
    }
    const algorithm = HASH_ALGORITHMS.find((name) => name === entry.hashAlg)
    // A bank that is not handled here, such as SM3, has no value to compare with either.
    if (algorithm === undefined) continue
    if (digests.has(algorithm)) throw fail('hashAlg', `${algorithm} occurs twice`)
    const size = hashAlgorithmFacts(algorithm).digestBytes
    if (entry.digest.length !== size * 2 || !/^[0-9a-f]+$/i.test(entry.digest)) {
      throw fail('digest', `expected ${size * 2} hexadecimal digits for ${algorithm}`)
    }
    digests.set(algorithm, Buffer.from(entry.digest, 'hex'))
  }
  return digests
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isIntegerBelow(value: unknown, limit: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit
}

function textField<Name extends string>(content: JsonObject, name: Name): { readonly [key in Name]?: string } {
  const value = content[name]
  return typeof value === 'string' ? ({ [name]: value } as { [key in Name]: string }) : {}
}
