import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Toolchain } from '../toolchain/index.ts'
import { firmwareNamed, firmwareNames } from './firmware.ts'

const toolchain = { root: '/tools' } as Toolchain
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-firmware-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe('firmwareNamed()', () => {
  it('reads the variants of this checkout', async () => {
    const own = resolve(import.meta.dirname, '../../ovmf')
    for (const name of await firmwareNames(own)) {
      const firmware = await firmwareNamed(own, name, toolchain)
      expect(firmware.codePath).toMatch(/^\/tools\/usr\/share\/OVMF\/OVMF_CODE/)
      expect(firmware.needsSmm).toBe(name !== 'plain')
    }
  })

  it('lists those that exist when the name is not one of them', async () => {
    await writeFile(join(directory, 'b.json'), '{}')
    await writeFile(join(directory, 'a.json'), '{}')
    await expect(firmwareNamed(directory, 'c', toolchain)).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: 'There is no firmware "c"; there are: a, b',
    })
    await expect(firmwareNamed(join(directory, 'none'), 'c', toolchain)).rejects.toMatchObject({
      message: 'There is no firmware "c"; there are none',
    })
    await expect(firmwareNamed(directory, '../x', toolchain)).rejects.toMatchObject({ code: 'UNKNOWN_NAME' })
  })

  it.for(['', '{', 'null', '[]', '{"code": 1, "variables": "/v"}', '{"code": "/c"}'])(
    'rejects a description that is %j',
    async (text) => {
      await writeFile(join(directory, 'x.json'), text)
      await expect(firmwareNamed(directory, 'x', toolchain)).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    },
  )
})
