import { isIPv4, isIPv6 } from 'node:net'
import { BootwrightError } from '../../system/index.ts'

/** How a name server fails. */
export type DnsFailure =
  /** It says that it does not serve the asker (REFUSED). */
  | 'refused'
  /** It says that it could not find out (SERVFAIL). */
  | 'servfail'
  /** It says that there is no such name (NXDOMAIN). */
  | 'nxdomain'
  /** It says nothing. */
  | 'silent'
  /** It sends everybody to these addresses; a kind of address that is not among them has no record. */
  | { readonly wrongAddresses: readonly string[] }

const RCODES = { servfail: 2, nxdomain: 3, refused: 5 } as const
const HEADER_BYTES = 12
const TYPE_A = 1
const TYPE_AAAA = 28
const TTL_SECONDS = 1
/** RFC 1035, 3.1: a name takes 255 octets at most. */
const MAX_NAME_BYTES = 255

export interface DnsQuestion {
  /** Lower case, without the dot at the end. */
  readonly name: string
  readonly type: number
  /** Where it ends in the message. */
  readonly end: number
}

/** The one question of a DNS query (RFC 1035, 4.1), or undefined where this is none. */
export function dnsQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.byteLength < HEADER_BYTES) return undefined
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const isQuery = (view.getUint16(2) & 0x8000) === 0
  if (!isQuery || view.getUint16(4) !== 1) return undefined
  const labels: string[] = []
  let at = HEADER_BYTES
  for (;;) {
    const length = message[at]
    // A question comes first: there is nothing yet that it could point to.
    if (length === undefined || length > 63 || at - HEADER_BYTES > MAX_NAME_BYTES) return undefined
    at += 1
    if (length === 0) break
    if (at + length > message.byteLength) return undefined
    labels.push(
      Buffer.from(message.subarray(at, at + length))
        .toString('latin1')
        .toLowerCase(),
    )
    at += length
  }
  if (at + 4 > message.byteLength) return undefined
  return { name: labels.join('.'), type: view.getUint16(at), end: at + 4 }
}

/** The answer of a failing name server to a query; undefined where it says nothing. */
export function dnsAnswer(message: Uint8Array, question: DnsQuestion, failure: DnsFailure): Uint8Array | undefined {
  if (failure === 'silent') return undefined
  const head = Buffer.from(message.subarray(0, question.end))
  const rcode = typeof failure === 'string' ? RCODES[failure] : 0
  // Response, opcode and "recursion desired" as asked, "recursion available".
  head.writeUInt16BE(0x8000 | (head.readUInt16BE(2) & 0x7900) | 0x0080 | rcode, 2)
  const addresses = typeof failure === 'string' ? [] : failure.wrongAddresses
  const records = addresses.flatMap((address) => {
    const isWanted = isIPv4(address) ? question.type === TYPE_A : question.type === TYPE_AAAA
    return isWanted ? [addressRecord(question.type, addressBytes(address))] : []
  })
  head.writeUInt16BE(records.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, ...records])
}

/** Rejects with `INVALID_ARGUMENT` what is no way to fail. */
export function checkDnsFailure(failure: DnsFailure): void {
  if (typeof failure === 'string') return
  const wrong = failure.wrongAddresses.find((address) => !isIPv4(address) && !isIPv6(address))
  if (wrong === undefined) return
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `Expected an IP address for a wrong answer, found ${JSON.stringify(wrong)}`,
  )
}

function addressRecord(type: number, address: Uint8Array): Buffer {
  const record = Buffer.alloc(12 + address.byteLength)
  // The name is that of the question, at offset 12.
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(type, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(TTL_SECONDS, 6)
  record.writeUInt16BE(address.byteLength, 10)
  record.set(address, 12)
  return record
}

function addressBytes(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number)
  // The parser of URLs expands everything but the longest row of zeros, and writes an embedded IPv4 address in hexadecimal.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const words = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'))
  const [first, last] = [words(head), words(tail)]
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return Uint8Array.from(all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]))
}
