import { isDeepStrictEqual } from 'node:util'
import { endorsementCertificate, endorsementProblems, signsForItsTpmOnly } from '../tpm/index.ts'
import { type AttestationFinding, failed, passed, unsupported } from './attestation-report.ts'
import type { Evidence } from './evidence.ts'
import type { Expectation } from './judge.ts'

/** The certificate is one of the authority, and where the machine is known, its own. */
export function judgeEndorsement(evidence: Evidence, expected: Expectation): AttestationFinding {
  if (evidence.endorsement === undefined) return unsupported('no endorsement certificate was given')
  if (expected.endorsement === undefined) return unsupported('no authority is known that certifies endorsement keys')
  const { authority, certificate: known } = expected.endorsement
  const certificate = endorsementCertificate(evidence.endorsement.certificate)
  if (certificate === undefined)
    return failed('a certificate', `${evidence.endorsement.certificate.length} other bytes`)
  const problems = endorsementProblems(certificate, authority)
  const [first] = problems
  const name = authority.root.subject.replaceAll('\n', ', ')
  if (first !== undefined) return failed(`a certificate that leads to ${name}`, first, ...problems)
  if (known !== undefined && !known.raw.equals(certificate.raw)) {
    return failed(
      `the certificate of this machine's TPM, number ${known.serialNumber}`,
      `another one of the same authority, number ${certificate.serialNumber}`,
    )
  }
  const whose = known === undefined ? [] : ['it is the one that the host has for this machine']
  return passed(`number ${certificate.serialNumber} leads to ${name}`, ...whose)
}

/** TPM2_ActivateCredential: the key of the certificate has opened what was meant for the key of the quote. */
export function judgeCredential({ quote, endorsement }: Evidence): AttestationFinding {
  if (endorsement === undefined) return unsupported('nobody was there who could have answered a challenge')
  const { attestationKey, challenge, answer } = endorsement
  if (!isDeepStrictEqual(attestationKey.publicKey, quote.publicKey)) {
    return failed('a challenge to the key of the quote', 'one to another key')
  }
  if (!signsForItsTpmOnly(attestationKey)) {
    const attributes = `0x${attestationKey.attributes.toString(16)}`
    return failed('a key that signs nothing but what its TPM says', `a key with the attributes ${attributes}`)
  }
  if ('refused' in answer) return failed('the challenge opened by the TPM', answer.refused)
  if (!Buffer.from(challenge).equals(answer.opened)) return failed('the content of the challenge', 'something else')
  return passed(`the TPM opened a challenge for the key ${attestationKey.name.toString('hex').slice(4, 20)}…`)
}
