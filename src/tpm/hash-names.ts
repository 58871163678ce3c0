import { BANK_ALGORITHMS } from './algorithms.ts'
import type { PcrBank } from './swtpm.ts'
import type { TpmReader } from './tpm-reader.ts'

/** Reads a TPMI_ALG_HASH. */
export function readHash(reader: TpmReader, field: string): PcrBank {
  const id = reader.u16(field)
  const found = Object.entries(BANK_ALGORITHMS).find(([, algorithm]) => algorithm.id === id)
  if (found === undefined) throw reader.malformed(field, `no known hash has the number 0x${id.toString(16)}`)
  return found[0] as PcrBank
}
