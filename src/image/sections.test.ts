import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listImages } from './definition.ts'
import { findUnknownSection } from './sections.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-sections-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

async function put(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, file)), { recursive: true })
  await writeFile(join(directory, file), text)
}

describe('findUnknownSection()', () => {
  it.for([
    'mkosi.conf',
    'mkosi.local.conf',
    'mkosi.conf.d/10-more.conf',
    'mkosi.conf.d/20-more/mkosi.conf',
    'mkosi.images/initrd/mkosi.conf',
    'mkosi.profiles/debug.conf',
    'mkosi.uki-profiles/rescue.conf',
  ])('finds one in %s', async (file) => {
    await put('mkosi.conf', '[Output]\n[X-Mine]\n# [Commented]\n[Content]\nPackages=a\n')
    expect(findUnknownSection(directory)).toBeUndefined()
    await put(file, '[Output]\n\n[Contents]\nPackages=a\n')
    expect(findUnknownSection(directory)).toBe(`[Contents] in ${join(directory, file)}:3`)
  })

  it.for(['mkosi.extra/etc/unit.conf', 'mkosi.repart/10-root.conf', 'mkosi.conf.d/README', 'other.conf'])(
    'leaves %s alone, which is no configuration of mkosi',
    async (file) => {
      await put(file, '[Partition]\nType=root\n')
      expect(findUnknownSection(directory)).toBeUndefined()
    },
  )

  it('finds none in the definitions of this checkout', async () => {
    const checkout = resolve(import.meta.dirname, '../..')
    const images = await listImages(join(checkout, 'images'))
    expect(images.length).toBeGreaterThan(1)
    for (const path of [checkout, ...images.map((name) => join(checkout, 'images', name))]) {
      expect(findUnknownSection(path)).toBeUndefined()
    }
  })
})
