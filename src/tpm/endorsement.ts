import { sized, u16, words } from './commands.ts'
import type { Credential } from './credential.ts'
import { execute, PASSWORD, type TpmSend } from './execute.ts'
import { nvSize, readNv } from './nv.ts'
import { flushContext, policySecret, startPolicySession } from './policy.ts'
import { createPrimary, type LoadedKey, RH_ENDORSEMENT } from './primary.ts'

const CC_ACTIVATE_CREDENTIAL = 0x147
/** Template L-1, RSA 2048 (TCG EK Credential Profile 2.6, B.3.3), and the NV index of its certificate (2.2.1.4). */
const CERTIFICATE_INDEX = 0x01c0_0002
const ALG_RSA = 0x0001
const ALG_AES = 0x0006
const ALG_SHA256 = 0x000b
const ALG_NULL = 0x0010
const ALG_CFB = 0x0043
const KEY_BITS = 2048
/** fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt. */
const ATTRIBUTES = 0x000300b2
/** PolicySecret(TPM_RH_ENDORSEMENT). */
const POLICY_A = '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa'

/** Makes the endorsement key that the TPM's manufacturer has certified: the same one each time. */
export function createEndorsementKey(send: TpmSend): Promise<LoadedKey> {
  const template = Buffer.concat([
    u16(ALG_RSA, ALG_SHA256),
    words(ATTRIBUTES),
    sized(Buffer.from(POLICY_A, 'hex')),
    u16(ALG_AES, 128, ALG_CFB, ALG_NULL, KEY_BITS),
    words(0),
    sized(Buffer.alloc(KEY_BITS / 8)),
  ])
  return createPrimary(send, RH_ENDORSEMENT, template)
}

/** The certificate of {@link createEndorsementKey}, in DER, from the TPM. Rejects with `TPM_REFUSED` when there is none. */
export async function readEndorsementCertificate(send: TpmSend): Promise<Buffer> {
  return readNv(send, CERTIFICATE_INDEX, await nvSize(send, CERTIFICATE_INDEX), 0, CERTIFICATE_INDEX)
}

/**
 * Opens what was made for just these two keys: proof that they are in one TPM (TPM2_ActivateCredential). Rejects with
 * `TPM_REFUSED` when it was made for others.
 */
export async function activateCredential(
  send: TpmSend,
  keys: { readonly attestation: number; readonly endorsement: number },
  { blob, secret }: Credential,
): Promise<Buffer> {
  const session = await startPolicySession(send, 'policy')
  try {
    await policySecret(send, session, RH_ENDORSEMENT)
    const { answer } = await execute(send, {
      name: 'TPM2_ActivateCredential',
      code: CC_ACTIVATE_CREDENTIAL,
      handles: [keys.attestation, keys.endorsement],
      sessions: [PASSWORD, session],
      parameters: [sized(blob), sized(secret)],
    })
    return Buffer.from(answer.sized('certInfo'))
  } finally {
    await flushContext(send, session)
  }
}
