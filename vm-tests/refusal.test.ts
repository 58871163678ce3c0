import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_SPEC, machine, PrivateNetwork } from '../src/machine/index.ts'
import { cacheDirectory } from '../src/toolchain/index.ts'
import { hostAccelerator, plainFirmware, tools } from './support/scene.ts'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(cacheDirectory(), 'refusal-'))
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('a machine whose disk does not boot', () => {
  it("ends the wait with the firmware's last word, and leaves nothing", async () => {
    const diskPath = join(directory, 'empty.raw')
    await writeFile(diskPath, '')
    await truncate(diskPath, 64 * 1024 * 1024)
    const toolchain = await tools()
    const stateParent = join(directory, 'states')
    {
      await using network = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [] })
      const spec = {
        ...DEFAULT_SPEC,
        image: { name: 'empty', version: '1', diskPath },
        firmware: await plainFirmware(),
        accelerator: await hostAccelerator(),
        uuid: '11111111-2222-4333-8444-555555555555',
        memoryMiB: 512,
      }
      await using running = await machine(spec, { toolchain, network, stateParent, name: 'refused' }).start()
      await expect(running.booted()).rejects.toMatchObject({
        code: 'BOOT_REFUSED',
        message: expect.stringMatching(/No bootable option[\s\S]*The end of its console:[\s\S]*Not Found/),
        hint: expect.stringContaining('BOOTX64.EFI'),
      })
      expect(running.failure?.code).toBe('BOOT_REFUSED')
      // Nobody is left who could shut it down in order.
      await expect(running.powerOff()).rejects.toMatchObject({ code: 'BOOT_REFUSED' })
    }
    expect(await readdir(stateParent)).toEqual([])
  })
})
