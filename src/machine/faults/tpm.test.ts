import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { checkResponse, isLockedOut, manufactureTpm } from '../../tpm/index.ts'
import type { StoppedMachine } from '../machine.ts'
import { recordedFaults } from './fault-record.ts'
import { clearTpm, lockTpm, replaceTpm } from './stopped-tpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-tpm-fault-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

const stopped = (tpm: unknown = { banks: ['sha256'] }) =>
  ({ name: 'test', directory, spec: { tpm } }) as unknown as StoppedMachine

describe.skipIf(toolchain === undefined)('the TPM of a stopped machine (needs the tools: ./bootwright setup)', () => {
  const state = () => readFile(join(directory, 'tpm/tpm2-00.permall'))

  it('is locked out, stays so, and is let go', async () => {
    await manufactureTpm(toolchain, join(directory, 'tpm'), ['sha256'])
    await lockTpm(stopped(), toolchain)
    await lockTpm(stopped(), toolchain)
    await lockTpm(stopped(), toolchain, false)
    expect((await recordedFaults({ directory })).map(({ what }) => what)).toEqual([
      'TPM locked out',
      'TPM locked out',
      'TPM lockout over',
    ])
  })

  it('is cleared, which its state shows', async () => {
    await manufactureTpm(toolchain, join(directory, 'tpm'), ['sha256'])
    const before = await state()
    await clearTpm(stopped(), toolchain)
    expect((await state()).equals(before)).toBe(false)
  })

  it('is replaced by another one', async () => {
    await manufactureTpm(toolchain, join(directory, 'tpm'), ['sha256'])
    const before = await state()
    await replaceTpm(stopped(), toolchain)
    expect((await state()).equals(before)).toBe(false)
    await lockTpm(stopped(), toolchain, false)
  })

  it('does not answer where its state is none', async () => {
    await expect(clearTpm(stopped(), toolchain)).rejects.toMatchObject({ code: 'HELPER_EXITED' })
  })
})

describe('a machine without a TPM', () => {
  it.for([clearTpm, replaceTpm, lockTpm])('has none that could fail: %o', async (fault) => {
    await expect(fault(stopped('absent'), toolchain)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('a TPM response', () => {
  it.for([
    ['nothing', '', 'MALFORMED_INPUT'],
    ['one that is cut', '80010000000a0000', 'MALFORMED_INPUT'],
    ['a refusal', '80010000000a00000921', 'TPM_REFUSED'],
  ] as const)('%s is an error', ([, hex, code]) => {
    expect(() => checkResponse('TPM2_Clear', Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code }))
  })

  it('tells whether the TPM is locked', () => {
    const response = (attributes: string) =>
      Buffer.from(`80010000001b0000000000000000060000000100000200${attributes}`, 'hex')
    expect(isLockedOut(response('00000600'))).toBe(true)
    expect(isLockedOut(response('00000400'))).toBe(false)
    expect(() => isLockedOut(Buffer.from('80010000000a00000000', 'hex'))).toThrow('are no response')
  })
})
