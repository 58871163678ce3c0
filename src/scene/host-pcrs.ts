import { type HashAlgorithm, type PcrBanks, type PcrExtend, replay } from '../measure/index.ts'
import type { ObservedBoot } from '../tpm/index.ts'

/** The PCR values that the commands lead to which the host saw the TPM get. */
export function hostPcrs(
  { extends: all, startupLocality }: Pick<ObservedBoot, 'extends' | 'startupLocality'>,
  banks: Iterable<HashAlgorithm>,
): PcrBanks {
  const extended: readonly PcrExtend[] = all
  return new Map(
    [...banks].map((bank) => {
      // A bank that a command left out was not extended by it.
      const records = extended.filter(({ digests }) => digests.has(bank))
      return [bank, replay(records, [bank], { startupLocality }).values.get(bank) ?? new Map()]
    }),
  )
}
