import { randomBytes } from 'node:crypto'
import type { RunningMachine } from '../machine/index.ts'
import { parseEventLog, parsePcrBanks, parseUserspaceLog } from '../measure/index.ts'
import { readFirmwareLog, readUserspaceLog } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import {
  type AttestationKey,
  activateCredential,
  createAttestationKey,
  createEndorsementKey,
  endorsementCertificate,
  flushContext,
  makeCredential,
  type QuoteQuestion,
  readEndorsementCertificate,
  readPcrs,
  type TpmSend,
  takeQuote,
} from '../tpm/index.ts'
import type { EndorsementEvidence, Evidence } from './evidence.ts'

/** Evidence with its logs as bytes, to keep. */
export interface GatheredEvidence extends Evidence {
  readonly firmwareLog: Uint8Array
  readonly userspaceLog: Uint8Array
}

const CHALLENGE_BYTES = 32

/** Has a running machine attest itself; needs no tools in its image. Rejects with `GUEST_COMMAND_FAILED` without a TPM. */
export async function gatherEvidence(
  machine: Pick<RunningMachine, 'tpm' | 'runUnchecked'>,
  question: QuoteQuestion,
): Promise<GatheredEvidence> {
  const attested = await machine.tpm.use(async (send) => {
    const key = await createAttestationKey(send)
    const endorsement = await answerChallenge(send, key)
    const values = await readPcrs(send, question.bank, question.pcrs)
    const quote = await takeQuote(send, key, question)
    return { quote, endorsement, values: parsePcrBanks({ [question.bank]: Object.fromEntries(values) }) }
  })
  const [log, words] = await Promise.all([readFirmwareLog(machine), readUserspaceLog(machine)])
  if (log === undefined) {
    throw new BootwrightError('GUEST_COMMAND_FAILED', 'Expected an event log of the firmware in the guest, found none')
  }
  const userspaceLog = words ?? new Uint8Array()
  const logs = { log: parseEventLog(log), userspaceLog: parseUserspaceLog(userspaceLog) }
  return { ...attested, logs, firmwareLog: log, userspaceLog }
}

async function answerChallenge(send: TpmSend, key: AttestationKey): Promise<EndorsementEvidence> {
  const certificate = await readEndorsementCertificate(send)
  const challenge = randomBytes(CHALLENGE_BYTES)
  const certified = endorsementCertificate(certificate)?.publicKey.export({ format: 'jwk' })
  const told = { certificate, attestationKey: key, challenge }
  if (certified?.kty !== 'RSA') return { ...told, answer: { refused: 'the certificate is about no RSA key' } }
  const credential = makeCredential(certified, key.name, challenge)
  const endorsement = await createEndorsementKey(send)
  try {
    const keys = { attestation: key.handle, endorsement: endorsement.handle }
    return { ...told, answer: { opened: await activateCredential(send, keys, credential) } }
  } catch (error) {
    if (!(error instanceof BootwrightError) || error.code !== 'TPM_REFUSED') throw error
    return { ...told, answer: { refused: error.message } }
  } finally {
    await flushContext(send, endorsement.handle)
  }
}
