import type { PcrBank } from './swtpm.ts'

/** TPM_ALG_ID of each bank's hash (TPM 2.0 Part 2, 6.3), and how long its digests are. */
export const BANK_ALGORITHMS: Readonly<Record<PcrBank, { readonly id: number; readonly digestBytes: number }>> = {
  sha1: { id: 0x0004, digestBytes: 20 },
  sha256: { id: 0x000b, digestBytes: 32 },
  sha384: { id: 0x000c, digestBytes: 48 },
  sha512: { id: 0x000d, digestBytes: 64 },
}
