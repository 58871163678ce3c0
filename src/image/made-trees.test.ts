import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeTrees } from './made-trees.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-trees-'))
})
afterEach(() => rm(directory, { recursive: true }))

const tree = { path: '/cache/tree', identity: 'abc' }
const makers = { 'guest-tools': async () => tree }

describe('makeTrees()', () => {
  it('makes what is asked for in our own section, once', async () => {
    const own = '[X-Bootwright]\nExtraTrees=guest-tools\n'
    await writeFile(
      join(directory, 'mkosi.conf'),
      `[Content]\nExtraTrees=files\n\n${own}${own}[Output]\nExtraTrees=none\n`,
    )
    expect(await makeTrees(directory, makers)).toEqual([{ name: 'guest-tools', ...tree }])
  })

  it('makes nothing for a definition that asks for nothing', async () => {
    await writeFile(join(directory, 'mkosi.conf'), '[Content]\nExtraTrees=guest-tools\n')
    expect(await makeTrees(directory)).toEqual([])
  })

  it('says what it can make', async () => {
    await writeFile(join(directory, 'mkosi.conf'), '[X-Bootwright]\nExtraTrees=gest-tools\n')
    await expect(makeTrees(directory, makers)).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: expect.stringContaining('"gest-tools"'),
      hint: 'Trees that can be made: guest-tools.',
    })
  })
})
