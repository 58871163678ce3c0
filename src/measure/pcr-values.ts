import { BootwrightError } from '../system/index.ts'
import { type HashAlgorithm, hashAlgorithmFacts, parseHashAlgorithm } from './hash-algorithms.ts'

/** PCR values: by bank, then by PCR index, as lower-case hexadecimal text. */
export type PcrBanks = ReadonlyMap<HashAlgorithm, ReadonlyMap<number, string>>

/** A TPM of the PC Client profile has PCRs 0 to 23. */
export const PCR_COUNT = 24

/**
 * Takes PCR values as a guest or a TPM gives them (hexadecimal in any case) and checks that each has the size of its bank.
 *
 * @example parsePcrBanks({ sha256: { 11: 'A1B2…' } })
 */
export function parsePcrBanks(banks: Readonly<Record<string, Readonly<Record<number, string>>>>): PcrBanks {
  const parsed = new Map<HashAlgorithm, ReadonlyMap<number, string>>()
  for (const [name, values] of Object.entries(banks)) {
    const bank = parseHashAlgorithm(name)
    const entries = Object.entries(values).map(([pcr, value]): [number, string] => [
      parsePcr(pcr),
      parsePcrValue(bank, pcr, value),
    ])
    parsed.set(bank, new Map(entries))
  }
  return parsed
}

function parsePcr(text: string): number {
  const pcr = Number(text)
  if (/^\d+$/.test(text) && pcr < PCR_COUNT) return pcr
  throw new BootwrightError('INVALID_ARGUMENT', `Expected a PCR from 0 to ${PCR_COUNT - 1}, found "${text}"`)
}

function parsePcrValue(bank: HashAlgorithm, pcr: string, value: string): string {
  const digits = hashAlgorithmFacts(bank).digestBytes * 2
  const text = value.trim()
  if (text.length === digits && /^[0-9a-f]+$/i.test(text)) return text.toLowerCase()
  throw new BootwrightError(
    'MALFORMED_INPUT',
    `PCR ${pcr} of bank ${bank} should have ${digits} hexadecimal digits, found "${text.slice(0, 140)}"`,
    { hint: 'Read the PCRs again, for example from /sys/class/tpm/tpm0/pcr-sha256/.', detail: { bank, pcr } },
  )
}
