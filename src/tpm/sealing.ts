import { sized, u16, words } from './commands.ts'
import { execute, PASSWORD, type TpmSend } from './execute.ts'
import { createPrimary, RH_OWNER } from './primary.ts'

const CC_CREATE = 0x153
const CC_LOAD = 0x157
const CC_UNSEAL = 0x15e
const ALG_AES = 0x0006
const ALG_KEYEDHASH = 0x0008
const ALG_SHA256 = 0x000b
const ALG_NULL = 0x0010
const ALG_ECC = 0x0023
const ALG_CFB = 0x0043
const ECC_NIST_P256 = 0x0003
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt (TCG TPM v2.0 Provisioning Guidance). */
const STORAGE_KEY = 0x30472
/** fixedTPM, fixedParent, noDA; without userWithAuth nothing but the policy opens it. */
const SEALED_OBJECT = 0x412

/** A secret that only its TPM opens, while a policy holds. */
export interface SealedObject {
  readonly privatePart: Buffer
  readonly publicPart: Buffer
}

/** Makes the storage root key on P-256: the same one each time. Resolves with its handle. */
export async function createStorageKey(send: TpmSend): Promise<number> {
  const area = Buffer.concat([
    u16(ALG_ECC, ALG_SHA256),
    words(STORAGE_KEY),
    sized(),
    u16(ALG_AES, 128, ALG_CFB, ALG_NULL, ECC_NIST_P256, ALG_NULL),
    sized(),
    sized(),
  ])
  const { handle } = await createPrimary(send, RH_OWNER, area)
  return handle
}

/** Seals at most 128 bytes under the digest of a policy (TPM2_Create). */
export async function seal(
  send: TpmSend,
  parent: number,
  secret: Uint8Array,
  policy: Uint8Array,
): Promise<SealedObject> {
  const area = Buffer.concat([
    u16(ALG_KEYEDHASH, ALG_SHA256),
    words(SEALED_OBJECT),
    sized(policy),
    u16(ALG_NULL),
    sized(),
  ])
  const { answer } = await execute(send, {
    name: 'TPM2_Create',
    code: CC_CREATE,
    handles: [parent],
    sessions: [PASSWORD],
    parameters: [sized(sized(), sized(secret)), sized(area), sized(), words(0)],
  })
  return { privatePart: Buffer.from(answer.sized('outPrivate')), publicPart: Buffer.from(answer.sized('outPublic')) }
}

/** Loads what was sealed under this parent (TPM2_Load); resolves with its handle. */
export async function loadSealed(send: TpmSend, parent: number, sealed: SealedObject): Promise<number> {
  const { handle } = await execute(send, {
    name: 'TPM2_Load',
    code: CC_LOAD,
    handles: [parent],
    sessions: [PASSWORD],
    parameters: [sized(sealed.privatePart), sized(sealed.publicPart)],
    answersHandle: true,
  })
  return handle
}

/** The secret (TPM2_Unseal). Rejects with `TPM_REFUSED` where the session has not come to the policy of the object. */
export async function unseal(send: TpmSend, object: number, session: number): Promise<Buffer> {
  const { answer } = await execute(send, {
    name: 'TPM2_Unseal',
    code: CC_UNSEAL,
    handles: [object],
    sessions: [session],
  })
  return Buffer.from(answer.sized('outData'))
}
