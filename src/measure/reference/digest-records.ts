import type { HashAlgorithm } from '../hash-algorithms.ts'
import { type PredictedEvent, predictedDigests } from '../prediction/event.ts'

/** A digest as TCG's JSON formats and systemd's spell it. */
export interface DigestRecord {
  readonly hashAlg: HashAlgorithm
  /** Lower-case hexadecimal. */
  readonly digest: string
}

/** Digests of an event that is known, in the order of the banks. */
export function digestRecords(event: PredictedEvent, banks: readonly HashAlgorithm[]): DigestRecord[] {
  const digests = predictedDigests(event, banks)
  return banks.flatMap((bank) => {
    const digest = digests.get(bank)
    return digest === undefined ? [] : [{ hashAlg: bank, digest: Buffer.from(digest).toString('hex') }]
  })
}
