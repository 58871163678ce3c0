import { HASH_ALGORITHMS, hashAlgorithmFacts, type PcrBanks, parsePcrBanks } from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'
import { type PcrSelection, selectedPcrs } from '../tpm/index.ts'

/** Sizes of C structures of tpm2-tss, which tpm2-tools writes as they are in memory, little-endian. */
const MAX_SELECTIONS = 16
const SELECTION_BYTES = 8
const MAX_SELECT_BYTES = 4
const SELECTIONS_BYTES = 4 + MAX_SELECTIONS * SELECTION_BYTES
const DIGESTS_OF_LIST = 8
const DIGEST_BYTES = 2 + 64
const LIST_BYTES = 4 + DIGESTS_OF_LIST * DIGEST_BYTES
const MAX_LISTS = 64

/** PCR values: JSON, `{"sha256": {"0": "…"}}`, or what tpm2_quote writes for `--pcrs_output` (`serialized`, its default). */
export function parsePcrFile(bytes: Uint8Array): PcrBanks {
  const buffer = Buffer.from(bytes)
  if (/^\s*\{/.test(buffer.toString('latin1', 0, 64))) return parsePcrJson(buffer.toString())
  const selections = parseSelections(buffer)
  const values = parseDigests(buffer)
  const banks: Record<string, Record<number, string>> = {}
  for (const { bank, pcrs } of selections) {
    for (const pcr of pcrs) {
      const value = values.shift()
      if (value === undefined) throw malformed(buffer.length, `there is no value for PCR ${pcr} of ${bank}`)
      banks[bank] = { ...banks[bank], [pcr]: value }
    }
  }
  if (values.length > 0) throw malformed(buffer.length, `${values.length} values are left over`)
  return parsePcrBanks(banks)
}

function parsePcrJson(text: string): PcrBanks {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new BootwrightError('MALFORMED_INPUT', `The PCR values are not JSON: ${(cause as Error).message}`, { cause })
  }
  const isBanks = Object.values(json as object).every(
    (values) =>
      typeof values === 'object' &&
      values !== null &&
      Object.values(values as object).every((value) => typeof value === 'string'),
  )
  if (isBanks) return parsePcrBanks(json as Record<string, Record<number, string>>)
  throw new BootwrightError('MALFORMED_INPUT', 'Expected PCR values as text, by bank and index', {
    hint: 'Write PCR values as {"sha256": {"0": "…", "1": "…"}}.',
  })
}

/** TPML_PCR_SELECTION. */
function parseSelections(buffer: Buffer): PcrSelection[] {
  if (buffer.length < SELECTIONS_BYTES + 4) throw malformed(buffer.length, 'it is too short for PCR selections')
  const count = buffer.readUInt32LE(0)
  if (count > MAX_SELECTIONS) throw malformed(0, `${count} selections are more than ${MAX_SELECTIONS}`)
  return Array.from({ length: count }, (_, index): PcrSelection => {
    const at = 4 + index * SELECTION_BYTES
    const id = buffer.readUInt16LE(at)
    const bank = HASH_ALGORITHMS.find((name) => hashAlgorithmFacts(name).tpmId === id)
    if (bank === undefined) throw malformed(at, `no known bank has the number 0x${id.toString(16)}`)
    const size = buffer.readUInt8(at + 2)
    if (size > MAX_SELECT_BYTES) throw malformed(at + 2, `${size} bytes select more PCRs than there are`)
    return { bank, pcrs: selectedPcrs(buffer.subarray(at + 3, at + 3 + size)) }
  })
}

/** A number of TPML_DIGEST, each with room for eight. */
function parseDigests(buffer: Buffer): string[] {
  const lists = buffer.readUInt32LE(SELECTIONS_BYTES)
  if (lists > MAX_LISTS) throw malformed(SELECTIONS_BYTES, `${lists} lists of digests are more than ${MAX_LISTS}`)
  const start = SELECTIONS_BYTES + 4
  if (buffer.length !== start + lists * LIST_BYTES) {
    throw malformed(SELECTIONS_BYTES, `${lists} lists of digests do not fit ${buffer.length} bytes`)
  }
  return Array.from({ length: lists }, (_, list) => start + list * LIST_BYTES).flatMap((at) => {
    const count = buffer.readUInt32LE(at)
    if (count > DIGESTS_OF_LIST) throw malformed(at, `${count} digests are more than ${DIGESTS_OF_LIST}`)
    return Array.from({ length: count }, (_, index) => {
      const digest = at + 4 + index * DIGEST_BYTES
      const size = buffer.readUInt16LE(digest)
      if (size > DIGEST_BYTES - 2) throw malformed(digest, `${size} bytes are no digest`)
      return buffer.toString('hex', digest + 2, digest + 2 + size)
    })
  })
}

/** What {@link parsePcrFile} reads, for tpm2_checkquote. */
export function pcrFile(selections: readonly PcrSelection[], values: PcrBanks): Buffer {
  const digests = selections.flatMap(({ bank, pcrs }) => pcrs.map((pcr) => values.get(bank)?.get(pcr) ?? ''))
  const lists = Math.ceil(digests.length / DIGESTS_OF_LIST)
  const file = Buffer.alloc(SELECTIONS_BYTES + 4 + lists * LIST_BYTES)
  file.writeUInt32LE(selections.length, 0)
  for (const [index, { bank, pcrs }] of selections.entries()) {
    const at = 4 + index * SELECTION_BYTES
    file.writeUInt16LE(hashAlgorithmFacts(bank).tpmId, at)
    file.writeUInt8(3, at + 2)
    for (const pcr of pcrs) file[at + 3 + (pcr >> 3)] = (file[at + 3 + (pcr >> 3)] ?? 0) | (1 << (pcr & 7))
  }
  file.writeUInt32LE(lists, SELECTIONS_BYTES)
  for (const [index, digest] of digests.entries()) {
    const list = SELECTIONS_BYTES + 4 + Math.floor(index / DIGESTS_OF_LIST) * LIST_BYTES
    file.writeUInt32LE((index % DIGESTS_OF_LIST) + 1, list)
    const at = list + 4 + (index % DIGESTS_OF_LIST) * DIGEST_BYTES
    file.writeUInt16LE(digest.length / 2, at)
    file.write(digest, at + 2, 'hex')
  }
  return file
}

function malformed(offset: number, problem: string): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `Cannot read PCR values at offset ${offset}: ${problem}`, {
    detail: { what: 'PCR values', offset },
    hint: 'Give what tpm2_quote wrote with --pcrs_output, or JSON: {"sha256": {"0": "…"}}.',
  })
}
