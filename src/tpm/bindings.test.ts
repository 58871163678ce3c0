import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { PASSWORD, type TpmSend } from './execute.ts'
import { defineNv, readNv, undefineNv, writeNv } from './nv.ts'
import { extendPcr, extendPcrByData, readPcrs } from './pcr.ts'
import {
  flushContext,
  policyAuthorize,
  policyDigest,
  policyOr,
  policyPcr,
  startPolicySession,
  verifyPolicySignature,
} from './policy.ts'
import { quotedDigest } from './quote.ts'
import { createStorageKey, loadSealed, seal, unseal } from './sealing.ts'
import { withTpm } from './standalone.ts'
import { manufactureTpm } from './swtpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const ZEROS = '00'.repeat(32)
const SECRET = Buffer.from('a secret')
const sha256 = (...parts: readonly Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()

describe.skipIf(toolchain === undefined)('commands to a real TPM (need the tools: ./bootwright setup)', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-bindings-'))
    await manufactureTpm(toolchain, join(directory, 'tpm'), ['sha256'])
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  /** Each time as after a power cut: PCRs begin anew, sessions and keys are gone. */
  const using = <T>(use: (send: TpmSend) => Promise<T>): Promise<T> =>
    withTpm(toolchain, join(directory, 'tpm'), join(directory, 'tpm.log'), use)

  /** The digest of a policy, by a session that believes everything. */
  async function trial(send: TpmSend, assert: (session: number) => Promise<void>): Promise<Buffer> {
    const session = await startPolicySession(send, 'trial')
    await assert(session)
    const digest = await policyDigest(send, session)
    await flushContext(send, session)
    return digest
  }

  async function sealed(send: TpmSend, policy: Uint8Array): Promise<number> {
    const parent = await createStorageKey(send)
    return loadSealed(send, parent, await seal(send, parent, SECRET, policy))
  }

  it('read all PCRs, more than one answer holds, and extend them', async () => {
    await using(async (send) => {
      const all = Array.from({ length: 24 }, (_, pcr) => pcr)
      const before = await readPcrs(send, 'sha256', all)
      expect([...before.keys()]).toEqual(all)
      expect(before.get(16)).toBe(ZEROS)
      const digest = sha256(Buffer.from('measured'))
      await extendPcr(send, 16, new Map([['sha256', digest]]))
      await extendPcrByData(send, 23, Buffer.from('measured'))
      const value = sha256(Buffer.alloc(32), digest).toString('hex')
      const after = await readPcrs(send, 'sha256', [23, 16])
      expect([...after]).toEqual([
        [16, value],
        [23, value],
      ])
      expect((await readPcrs(send, 'sha1', [16])).size).toBe(0)
      await expect(extendPcr(send, 24, new Map([['sha256', digest]]))).rejects.toMatchObject({ code: 'TPM_REFUSED' })
    })
  })

  it('unseal under a policy of PCRs, and not after one has changed', async () => {
    await using(async (send) => {
      const policy = await trial(send, (session) => policyPcr(send, session, 'sha256', [16, 11]))
      const object = await sealed(send, policy)
      await expect(unseal(send, object, PASSWORD)).rejects.toThrow('TPM_RC_AUTH_UNAVAILABLE')
      const session = await startPolicySession(send, 'policy')
      await policyPcr(send, session, 'sha256', [11, 16])
      expect(await unseal(send, object, session)).toEqual(SECRET)
      await flushContext(send, session)

      await extendPcrByData(send, 11, Buffer.from('another kernel'))
      const changed = await startPolicySession(send, 'policy')
      await policyPcr(send, changed, 'sha256', [11, 16])
      await expect(unseal(send, object, changed)).rejects.toThrow(
        'The TPM refused TPM2_Unseal: TPM_RC_POLICY_FAIL: a policy check failed (session 1)',
      )
      // What is not the value is not believed.
      const expected = quotedDigest([ZEROS, ZEROS])
      const pretending = await startPolicySession(send, 'policy')
      await expect(policyPcr(send, pretending, 'sha256', [11, 16], expected)).rejects.toThrow('TPM_RC_VALUE')
    })
  })

  it('unseal under one of several policies', async () => {
    await using(async (send) => {
      const now = await trial(send, (session) => policyPcr(send, session, 'sha256', [16]))
      const other = Buffer.alloc(32, 1)
      const object = await sealed(send, await trial(send, (session) => policyOr(send, session, [other, now])))
      const session = await startPolicySession(send, 'policy')
      await expect(policyOr(send, session, [other, now])).rejects.toMatchObject({ code: 'TPM_REFUSED' })
      await policyPcr(send, session, 'sha256', [16])
      await policyOr(send, session, [other, now])
      expect(await unseal(send, object, session)).toEqual(SECRET)
    })
  })

  it('unseal under what a key has approved, later as well, and refuse an altered signature', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = publicKey.export({ format: 'jwk' })
    await using(async (send) => {
      const approve = (policy: Uint8Array) => {
        return verifyPolicySignature(send, jwk, sha256(policy), sign('sha256', policy, privateKey))
      }
      const none = new Uint8Array()
      const first = await trial(send, (session) => policyPcr(send, session, 'sha256', [16]))
      const approval = await approve(first)
      const authorized = await trial(send, (session) => policyAuthorize(send, session, first, none, approval))
      const object = await sealed(send, authorized)

      await extendPcrByData(send, 16, Buffer.from('an update'))
      const session = await startPolicySession(send, 'policy')
      await policyPcr(send, session, 'sha256', [16])
      const second = await policyDigest(send, session)
      await expect(policyAuthorize(send, session, first, none, approval)).rejects.toThrow('TPM_RC_VALUE')
      const forged = sign('sha256', second, privateKey)
      forged[9] = (forged[9] ?? 0) ^ 1
      await expect(verifyPolicySignature(send, jwk, sha256(second), forged)).rejects.toThrow('TPM_RC_SIGNATURE')
      await policyAuthorize(send, session, second, none, await approve(second))
      expect(await unseal(send, object, session)).toEqual(SECRET)
    })
  })

  it('define, write and read NV indices, which outlive a power cut', async () => {
    const index = 0x0180_0001
    await using(async (send) => {
      await defineNv(send, index, 16)
      await expect(defineNv(send, index, 16)).rejects.toThrow('TPM_RC_NV_DEFINED')
      await expect(readNv(send, index, 16)).rejects.toThrow('TPM_RC_NV_UNINITIALIZED')
      await writeNv(send, index, Buffer.from('0123456789abcdef'))
      await expect(writeNv(send, index, Buffer.from('xy'), 15)).rejects.toThrow('TPM_RC_NV_RANGE')
    })
    await using(async (send) => {
      expect((await readNv(send, index, 4, 10)).toString()).toBe('abcd')
      await undefineNv(send, index)
      await expect(readNv(send, index, 1)).rejects.toThrow('TPM_RC_HANDLE')
    })
  })
})
