import { type Digests, HASH_ALGORITHMS, type HashAlgorithm } from '../hash-algorithms.ts'
import { isObject, isPcr, jsonObject, readDigest } from './json-input.ts'

/** A measurement of systemd.pcrlock(5): digests of the banks that are known here. */
export interface PcrlockRecord {
  readonly pcr: number
  readonly digests: Digests
}

/**
 * Reads a `.pcrlock` file: `{"records": [{"pcr": 4, "digests": [{"hashAlg": "sha256", "digest": "…"}]}]}`. No records are a
 * component that may be absent. Rejects anything else with `MALFORMED_INPUT`.
 */
export function parsePcrlock(bytes: Uint8Array): PcrlockRecord[] {
  const { object, fail } = jsonObject('pcrlock file', bytes)
  if (!Array.isArray(object.records)) throw fail('records', 'expected a list')
  return object.records.map((record: unknown) => {
    if (!isObject(record)) throw fail('records', 'expected objects')
    if (!isPcr(record.pcr)) throw fail('pcr', `expected 0 to 23, found ${JSON.stringify(record.pcr)}`)
    if (!Array.isArray(record.digests)) throw fail('digests', 'expected a list')
    const digests = new Map<HashAlgorithm, Uint8Array>()
    for (const digest of record.digests as unknown[]) {
      if (!isObject(digest) || typeof digest.hashAlg !== 'string') {
        throw fail('digests', 'expected objects with hashAlg and digest')
      }
      // SM3 and SHA-3 have no value to compare with here.
      const bank = HASH_ALGORITHMS.find((name) => name === digest.hashAlg)
      if (bank === undefined) continue
      if (digests.has(bank)) throw fail('hashAlg', `${bank} occurs twice`)
      digests.set(bank, readDigest(digest.digest, bank, fail))
    }
    return { pcr: record.pcr, digests }
  })
}

/** A component: files of which a boot has just one. */
export interface PcrlockComponent {
  /** `250-firmware-pcr-0`: without `.pcrlock`. */
  readonly name: string
  readonly variants: readonly { readonly path: string; readonly records: readonly PcrlockRecord[] }[]
}

/**
 * Components of the files of a `pcrlock.d` directory by their paths in it, in the order in which systemd takes them to
 * happen: `NAME.pcrlock`, or `NAME.pcrlock.d/VARIANT.pcrlock`. Other files are none.
 */
export function pcrlockComponents(files: ReadonlyMap<string, Uint8Array>): PcrlockComponent[] {
  const components = new Map<string, { path: string; records: PcrlockRecord[] }[]>()
  for (const path of [...files.keys()].sort()) {
    const name = /^([^/]+)\.pcrlock(?:\.d\/[^/]+\.pcrlock)?$/.exec(path)?.[1]
    const bytes = files.get(path)
    if (name === undefined || bytes === undefined) continue
    const variants = components.get(name) ?? []
    variants.push({ path, records: parsePcrlock(bytes) })
    components.set(name, variants)
  }
  return [...components].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, variants]) => ({ name, variants }))
}
