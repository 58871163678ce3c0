import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Namespace } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { manufactureTpm, type PcrBank, startTpm } from './swtpm.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const canOpen = await Namespace.open().then(
  async (namespace) => {
    await namespace[Symbol.asyncDispose]()
    return true
  },
  () => false,
)

/** swtpm's control channel: CMD_GET_CAPABILITY, answered by a result and a set of flags, big-endian. */
const GET_CAPABILITY = Uint8Array.of(0, 0, 0, 1)
const CAP_INIT = 1n
const CAP_SHUTDOWN = 2n

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-tpm-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe.skipIf(toolchain === undefined)('manufactureTpm() (needs the tools: ./bootwright setup)', () => {
  it('makes the state of a TPM and the certificates of its keys, and nothing else', async () => {
    const state = join(directory, 'made', 'on the way')
    await manufactureTpm(toolchain, state, ['sha256', 'sha384'])
    expect((await readdir(state)).filter((name) => !name.startsWith('.'))).toEqual([
      'ek-rsa2048.crt',
      'ek-secp384r1.crt',
      'tpm2-00.permall',
    ])
  })

  it('makes each one anew: two have different seeds', async () => {
    const [first, second] = [join(directory, 'first'), join(directory, 'second')]
    await manufactureTpm(toolchain, first, ['sha256'])
    await manufactureTpm(toolchain, second, ['sha256'])
    const bytes = await readFile(join(first, 'tpm2-00.permall'))
    expect(bytes.equals(await readFile(join(second, 'tpm2-00.permall')))).toBe(false)
  })

  it('rejects a bank that swtpm does not know, with its words', async () => {
    await expect(manufactureTpm(toolchain, directory, ['md5' as PcrBank])).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      message: expect.stringContaining('No PCR banks could be allocated'),
    })
    expect(await readdir(directory)).not.toContain('setup.conf')
  })
})

describe('manufactureTpm()', () => {
  it('rejects a TPM without banks, and makes nothing', async () => {
    const state = join(directory, 'tpm')
    await expect(manufactureTpm(toolchain, state, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await readdir(directory)).toEqual([])
  })
})

describe.skipIf(toolchain === undefined || !canOpen)('startTpm() (needs namespaces and ./bootwright setup)', () => {
  it('answers on the inherited control channel, and ends with it', async () => {
    const state = join(directory, 'tpm')
    await manufactureTpm(toolchain, state, ['sha256'])
    await using namespace = await Namespace.open(toolchain === undefined ? {} : { tools: toolchain })
    const tpm = startTpm(namespace, state, join(directory, 'tpm.log'))
    tpm.control.write(GET_CAPABILITY)
    const [answer] = (await once(tpm.control, 'data')) as [Buffer]
    const flags = answer.readBigUInt64BE()
    expect(flags & (CAP_INIT | CAP_SHUTDOWN)).toBe(CAP_INIT | CAP_SHUTDOWN)
    tpm.control.destroy()
    expect(await tpm.process.ended).toEqual({ exitCode: 0, signal: null })
  })
})
