import { sized, u16, words } from './commands.ts'
import type { TpmSend } from './execute.ts'
import { createPrimary, type LoadedKey, RH_ENDORSEMENT } from './primary.ts'
import { OBJECT_ATTRIBUTES, type PublicArea } from './public-area.ts'

const ALG_SHA256 = 0x000b
const ALG_NULL = 0x0010
const ALG_ECDSA = 0x0018
const ALG_ECC = 0x0023
const ECC_NIST_P256 = 0x0003

/** A key that only signs what its TPM says, by its handle while the TPM holds it. */
export type AttestationKey = LoadedKey

const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt, sign } = OBJECT_ATTRIBUTES
/** It never leaves its TPM, nobody else knows it, and it signs nothing that looks like the TPM's words but is not. */
const TRUSTED = fixedTPM | fixedParent | sensitiveDataOrigin | restricted | sign

/** Makes the attestation key of the endorsement hierarchy: the same one each time, as long as the TPM is the same. */
export function createAttestationKey(send: TpmSend): Promise<AttestationKey> {
  const template = Buffer.concat([
    u16(ALG_ECC, ALG_SHA256),
    words(TRUSTED | userWithAuth | noDA),
    sized(),
    // No symmetric algorithm, ECDSA with SHA-256 on P-256, no key derivation; X and Y are up to the TPM.
    u16(ALG_NULL, ALG_ECDSA, ALG_SHA256, ECC_NIST_P256, ALG_NULL),
    sized(),
    sized(),
  ])
  return createPrimary(send, RH_ENDORSEMENT, template)
}

/** Whether a key of this description signs only what its TPM says, given that the key is in a TPM. */
export function signsForItsTpmOnly({ attributes }: Pick<PublicArea, 'attributes'>): boolean {
  return (attributes & (TRUSTED | decrypt)) === TRUSTED
}
