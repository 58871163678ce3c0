import { readHash } from './hash-names.ts'
import type { PcrBank } from './swtpm.ts'
import { TpmReader } from './tpm-reader.ts'

const GENERATED_VALUE = 0xff544347
const ST_ATTEST_QUOTE = 0x8018
/** TPML_PCR_SELECTION has room for as many (implementations: HASH_COUNT). */
const MAX_SELECTIONS = 16

/** PCRs of a bank. */
export interface PcrSelection {
  readonly bank: PcrBank
  /** In ascending order. */
  readonly pcrs: readonly number[]
}

/** What a quote says (TPMS_ATTEST with TPMS_QUOTE_INFO). */
export interface AttestedPcrs {
  /** What was asked along: an old quote does not have it. */
  readonly nonce: Buffer
  readonly selections: readonly PcrSelection[]
  /** Over the values of these PCRs, one after the other, with the hash of the signature: {@link quotedDigest}. */
  readonly pcrDigest: Buffer
  /** How often the TPM was reset, and how often it went on after its state was saved. */
  readonly resetCount: number
  readonly restartCount: number
}

/** Reads TPMS_ATTEST of a quote (TPM 2.0 Part 2, 10.12.12): the bytes that a TPM signs, `tpm2_quote --message`. */
export function parseAttestedPcrs(bytes: Uint8Array): AttestedPcrs {
  const attest = new TpmReader(bytes, 'TPMS_ATTEST')
  attest.expect(attest.u32('magic'), GENERATED_VALUE, 'magic')
  attest.expect(attest.u16('type'), ST_ATTEST_QUOTE, 'type')
  attest.sized('qualifiedSigner')
  const nonce = attest.sized('extraData')
  attest.u64('clock')
  const resetCount = attest.u32('resetCount')
  const restartCount = attest.u32('restartCount')
  attest.u8('safe')
  attest.u64('firmwareVersion')
  const count = attest.u32('count of PCR selections')
  if (count > MAX_SELECTIONS) throw attest.malformed('count of PCR selections', `${count} are more than there can be`)
  const selections = Array.from({ length: count }, (): PcrSelection => {
    const bank = readHash(attest, 'bank')
    return { bank, pcrs: selectedPcrs(attest.bytes(attest.u8('sizeofSelect'), 'pcrSelect')) }
  })
  const pcrDigest = attest.sized('pcrDigest')
  attest.end('pcrDigest')
  return { nonce, selections, pcrDigest, resetCount, restartCount }
}

/** The PCRs whose bits are set. */
export function selectedPcrs(bits: Uint8Array): number[] {
  return Array.from({ length: bits.length * 8 }, (_, pcr) => pcr).filter(
    (pcr) => ((bits[pcr >> 3] ?? 0) & (1 << (pcr & 7))) !== 0,
  )
}
