/**
 * What a log of many records costs: reading, replaying, checking all data and writing the list, as `bootwright eventlog`
 * does. In one bank, as machines here have it, and in four; a tenth of the records shows whether it is linear.
 *
 * Usage: node bench/eventlog.ts [rounds]
 */
import { createHash } from 'node:crypto'
import { type HashAlgorithm, hashAlgorithmFacts, parseEventLog } from '../src/measure/index.ts'
import { eventLogReport, eventLogText } from '../src/report/index.ts'
import { report, rounds } from './support/rounds.ts'

const RECORDS = 100_000
const ALL_BANKS: readonly HashAlgorithm[] = ['sha1', 'sha256', 'sha384', 'sha512']

const u16 = (value: number): Buffer => Buffer.of(value & 0xff, value >> 8)
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** TCG_PCR_EVENT with "Spec ID Event03". */
function specId(banks: readonly HashAlgorithm[]): Buffer {
  const sizes = banks.map(hashAlgorithmFacts).flatMap(({ tpmId, digestBytes }) => [u16(tpmId), u16(digestBytes)])
  const head = [Buffer.from('Spec ID Event03\0'), u32(0), Buffer.of(0, 2, 0, 2), u32(banks.length)]
  const data = Buffer.concat([...head, ...sizes, Buffer.of(0)])
  return Buffer.concat([u32(0), u32(3), Buffer.alloc(20), u32(data.byteLength), data])
}

/** Kinds of records in the mixture of a real boot: variables, actions, sections, over all PCRs of the firmware. */
function logOf(count: number, banks: readonly HashAlgorithm[]): Buffer {
  const parts = [specId(banks)]
  for (let index = 0; index < count; index++) {
    const [type, data] = recordAt(index)
    parts.push(u32(index % 16), u32(type), u32(banks.length))
    for (const bank of banks) {
      parts.push(u16(hashAlgorithmFacts(bank).tpmId), createHash(bank).update(data).digest())
    }
    parts.push(u32(data.byteLength), data)
  }
  return Buffer.concat(parts)
}

function recordAt(index: number): [type: number, data: Buffer] {
  if (index % 3 === 0) return [0x80000007, Buffer.from(`Exit Boot Services Invocation ${index}`)]
  const name = Buffer.from(index % 3 === 1 ? `Boot${index}` : `.section${index}\0`, 'utf16le')
  if (index % 3 === 2) return [0xd, name]
  const lengths = [u32(name.byteLength / 2), u32(0), u32(64), u32(0)]
  return [0x80000001, Buffer.concat([Buffer.alloc(16, 0x8b), ...lengths, name, Buffer.alloc(64, index)])]
}

function candidate(name: string, bytes: Buffer) {
  return {
    name,
    async run(): Promise<number> {
      const begun = performance.now()
      const text = eventLogText(eventLogReport({ log: parseEventLog(bytes) }), { isColored: false })
      const seconds = (performance.now() - begun) / 1000
      if (text.includes('contradicts')) throw new Error('the synthetic log is wrong')
      return seconds
    },
  }
}

const [few, all, allBanks] = [
  'a tenth of the records, one bank',
  '100,000 records, one bank',
  '100,000 records, four banks',
]
const rows = await rounds(Number(process.argv[2] ?? 5), [
  candidate(few, logOf(RECORDS / 10, ['sha256'])),
  candidate(all, logOf(RECORDS, ['sha256'])),
  candidate(allBanks, logOf(RECORDS, ALL_BANKS)),
])
await report('eventlog', rows, [
  { name: all, limit: 1 },
  // Linear, with room for a garbage collector that a tenth does not need.
  { name: all, peer: few, limit: 13 },
  { name: allBanks, limit: 1 },
])
