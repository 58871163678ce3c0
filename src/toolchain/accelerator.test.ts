import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accelerator, startFirmware } from './accelerator.ts'
import { Cache } from './cache.ts'
import { readyToolchain } from './setup.ts'

const toolchain = await readyToolchain().catch(() => undefined)

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe.skipIf(toolchain === undefined)('with the managed tools (needs `bootwright setup`)', () => {
  // biome-ignore lint/style/noNonNullAssertion: the whole block is skipped without
  const tools = toolchain!

  it('startFirmware() sees the boot manager come up under TCG', { timeout: 60_000 }, async () => {
    expect(await startFirmware(tools, 'tcg', { timeoutMs: 50_000 })).toEqual({ isUp: true })
  })

  it('startFirmware() does not take a QEMU that says nothing for one that works', async () => {
    const start = await startFirmware(tools, 'tcg', { timeoutMs: 50 })
    expect(start).toEqual({ isUp: false, reason: 'it said nothing for 0.05 s' })
  })

  it('startFirmware() gives the reason of a QEMU that ends', async () => {
    const broken = { ...tools, command: () => ({ argv: ['sh', '-c', 'echo no such machine >&2; exit 1'] }) }
    const start = await startFirmware(broken, 'tcg')
    expect(start).toEqual({ isUp: false, reason: 'QEMU ended with status 1: no such machine' })
  })

  it('accelerator() remembers its answer: the second time nothing is started', { timeout: 60_000 }, async () => {
    const cache = new Cache(directory)
    const first = await accelerator(tools, cache)
    const mute = {
      ...tools,
      command: () => {
        throw new Error('started again')
      },
    }
    expect(await accelerator(mute, cache)).toEqual(first)
  })
})
