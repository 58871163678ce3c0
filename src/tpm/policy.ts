import type { webcrypto } from 'node:crypto'
import { sized, u16, words } from './commands.ts'
import { execute, PASSWORD, pcrSelection, type TpmSend } from './execute.ts'
import { RH_OWNER } from './primary.ts'
import type { PcrBank } from './swtpm.ts'

const CC_POLICY_SECRET = 0x151
const CC_FLUSH_CONTEXT = 0x165
const CC_LOAD_EXTERNAL = 0x167
const CC_POLICY_AUTHORIZE = 0x16a
const CC_POLICY_OR = 0x171
const CC_START_AUTH_SESSION = 0x176
const CC_VERIFY_SIGNATURE = 0x177
const CC_POLICY_PCR = 0x17f
const CC_POLICY_GET_DIGEST = 0x189
const RH_NULL = 0x40000007
const ALG_RSA = 0x0001
const ALG_SHA256 = 0x000b
const ALG_NULL = 0x0010
const ALG_RSASSA = 0x0014
const ST_VERIFIED = 0x8022
const NONCE_BYTES = 16
/** userWithAuth, decrypt, sign: what systemd gives a key that signs policies, and so part of its name. */
const SIGNING_KEY = (1 << 6) | (1 << 17) | (1 << 18)

/** `policy` may authorize commands; `trial` only computes a digest, and takes every assertion for true. */
export type PolicySessionKind = 'policy' | 'trial'

/** Starts a session whose hash is SHA-256 (TPM2_StartAuthSession); resolves with its handle. */
export async function startPolicySession(send: TpmSend, kind: PolicySessionKind): Promise<number> {
  const { handle } = await execute(send, {
    name: 'TPM2_StartAuthSession',
    code: CC_START_AUTH_SESSION,
    handles: [RH_NULL, RH_NULL],
    parameters: [
      sized(Buffer.alloc(NONCE_BYTES)),
      sized(),
      Buffer.of(kind === 'policy' ? 0x01 : 0x03),
      u16(ALG_NULL, ALG_SHA256),
    ],
    answersHandle: true,
  })
  return handle
}

/** Asserts that the PCRs are as they are, or, with a digest, as that says (TPM2_PolicyPCR; `quotedDigest` makes one). */
export async function policyPcr(
  send: TpmSend,
  session: number,
  bank: PcrBank,
  pcrs: readonly number[],
  expected: Uint8Array = new Uint8Array(),
): Promise<void> {
  await execute(send, {
    name: 'TPM2_PolicyPCR',
    code: CC_POLICY_PCR,
    handles: [session],
    parameters: [sized(expected), pcrSelection(bank, pcrs)],
  })
}

/** Asserts that the password of an entity, such as a hierarchy, is known: here an empty one (TPM2_PolicySecret). */
export async function policySecret(send: TpmSend, session: number, entity: number): Promise<void> {
  await execute(send, {
    name: 'TPM2_PolicySecret',
    code: CC_POLICY_SECRET,
    handles: [entity, session],
    sessions: [PASSWORD],
    // Of no nonce, no command, no reference, and without end.
    parameters: [sized(), sized(), sized(), words(0)],
  })
}

/** Asserts that the session's digest is one of two to eight (TPM2_PolicyOR). */
export async function policyOr(send: TpmSend, session: number, digests: readonly Uint8Array[]): Promise<void> {
  await execute(send, {
    name: 'TPM2_PolicyOR',
    code: CC_POLICY_OR,
    handles: [session],
    parameters: [words(digests.length), ...digests.map((digest) => sized(digest))],
  })
}

/** What the session has come to (TPM2_PolicyGetDigest). */
export async function policyDigest(send: TpmSend, session: number): Promise<Buffer> {
  const { answer } = await execute(send, {
    name: 'TPM2_PolicyGetDigest',
    code: CC_POLICY_GET_DIGEST,
    handles: [session],
  })
  return Buffer.from(answer.sized('policyDigest'))
}

/** Proof by this TPM that somebody has signed a policy. */
export interface PolicyApproval {
  readonly keyName: Buffer
  /** TPMT_TK_VERIFIED. */
  readonly ticket: Buffer
}

/**
 * Has the TPM verify a signature (RSASSA, SHA-256) over what is to be approved: `digest` is the SHA-256 of policy and
 * reference. Rejects with `TPM_REFUSED` when it is not that of the key.
 */
export async function verifyPolicySignature(
  send: TpmSend,
  publicKey: webcrypto.JsonWebKey,
  digest: Uint8Array,
  signature: Uint8Array,
): Promise<PolicyApproval> {
  const modulus = Buffer.from(publicKey.n ?? '', 'base64url')
  const exponent = Buffer.from(publicKey.e ?? '', 'base64url')
  const area = Buffer.concat([
    u16(ALG_RSA, ALG_SHA256),
    words(SIGNING_KEY),
    sized(),
    u16(ALG_NULL, ALG_NULL, modulus.length * 8),
    Buffer.alloc(4 - exponent.length),
    exponent,
    sized(modulus),
  ])
  const { handle, answer } = await execute(send, {
    name: 'TPM2_LoadExternal',
    code: CC_LOAD_EXTERNAL,
    parameters: [sized(), sized(area), words(RH_OWNER)],
    answersHandle: true,
  })
  try {
    const keyName = Buffer.from(answer.sized('name'))
    const verified = await execute(send, {
      name: 'TPM2_VerifySignature',
      code: CC_VERIFY_SIGNATURE,
      handles: [handle],
      parameters: [sized(digest), u16(ALG_RSASSA, ALG_SHA256), sized(signature)],
    })
    verified.answer.expect(verified.answer.u16('tag'), ST_VERIFIED, 'tag')
    const hierarchy = verified.answer.u32('hierarchy')
    const proof = verified.answer.sized('digest')
    return { keyName, ticket: Buffer.concat([u16(ST_VERIFIED), words(hierarchy), sized(proof)]) }
  } finally {
    await flushContext(send, handle)
  }
}

/** Puts whatever the key approves in the place of the session's digest, which has to be the approved one (TPM2_PolicyAuthorize). */
export async function policyAuthorize(
  send: TpmSend,
  session: number,
  approved: Uint8Array,
  reference: Uint8Array,
  { keyName, ticket }: PolicyApproval,
): Promise<void> {
  await execute(send, {
    name: 'TPM2_PolicyAuthorize',
    code: CC_POLICY_AUTHORIZE,
    handles: [session],
    parameters: [sized(approved), sized(reference), sized(keyName), ticket],
  })
}

/** Ends a session, or unloads a key (TPM2_FlushContext). */
export async function flushContext(send: TpmSend, handle: number): Promise<void> {
  await execute(send, { name: 'TPM2_FlushContext', code: CC_FLUSH_CONTEXT, parameters: [words(handle)] })
}
