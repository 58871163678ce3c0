import { type PcrBanks, replayEventLog, userspaceExtends } from '../measure/index.ts'
import { isSignedBy, type PcrBank, quotedDigest } from '../tpm/index.ts'
import { type AttestationFinding, failed, passed, unsupported } from './attestation-report.ts'
import type { Evidence } from './evidence.ts'
import type { Expectation } from './judge.ts'

export function judgeSignature({ quote }: Evidence): AttestationFinding {
  const { scheme, hash } = quote.signature
  if (isSignedBy(quote.publicKey, quote.attested, quote.signature)) return passed(`${scheme} with ${hash}`)
  return failed(`a signature (${scheme}, ${hash}) of the key that was given`, 'another one')
}

export function judgeNonce({ quote }: Evidence, { nonce }: Expectation): AttestationFinding {
  const found = quote.nonce.toString('hex') || 'none'
  if (nonce === undefined) return unsupported(`no nonce was given; that of the quote is ${found}`)
  const expected = Buffer.from(nonce).toString('hex')
  return expected === found ? passed(found) : failed(`nonce ${expected}`, found)
}

/**
 * Values for each PCR that the quote is about, in its order: as they were shown, or else as the logs lead to them.
 * Undefined when some are missing.
 */
export function quotedValues({ quote, values, logs }: Evidence): PcrBanks | undefined {
  const source =
    values ?? (logs && replayEventLog(logs.log, logs.userspaceLog && userspaceExtends(logs.userspaceLog)).values)
  const quoted = new Map<PcrBank, Map<number, string>>()
  for (const { bank, pcrs } of quote.selections) {
    const ofBank = quoted.get(bank) ?? new Map<number, string>()
    for (const pcr of pcrs) {
      const value = source?.get(bank)?.get(pcr)
      if (value === undefined) return undefined
      ofBank.set(pcr, value)
    }
    quoted.set(bank, ofBank)
  }
  return quoted
}

export function judgeValues({ quote, values }: Evidence, quoted: PcrBanks | undefined): AttestationFinding {
  if (quoted === undefined) {
    const selection = quote.selections.map(({ bank, pcrs }) => `${bank} ${pcrs}`).join(' and ')
    if (values === undefined) return unsupported(`neither values nor logs with PCRs ${selection} were given`)
    return failed(`values of PCRs ${selection}`, 'not all of them')
  }
  const inOrder = quote.selections.flatMap(({ bank, pcrs }) => pcrs.map((pcr) => quoted.get(bank)?.get(pcr) ?? ''))
  const digest = quotedDigest(inOrder, quote.signature.hash).toString('hex')
  const signed = quote.pcrDigest.toString('hex')
  const whence = values === undefined ? 'values that the event logs lead to' : 'values that were shown'
  if (inOrder.length === 0) return failed('a quote of PCRs', 'one of none')
  if (digest !== signed) return failed(`digest ${signed}, which the TPM signed`, `${digest} of the ${whence}`)
  return passed(`${inOrder.length} ${whence}`)
}
