import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cache } from '../toolchain/index.ts'
import { Workshop } from './workshop.ts'

const bases = ['0', '1', '2', '3', '4'].map((digit) => digit.repeat(16))

let directory: string
let cache: Cache

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  cache = new Cache(directory)
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const entry = (name: string, ...below: string[]): string => cache.path('images', name, ...below)

/** What mkosi leaves of an image whose packages are installed; without `manifest` it was interrupted. */
async function fill(name: string, { manifest = true } = {}): Promise<void> {
  await mkdir(entry(name, 'cache/debian~main.cache/etc'), { recursive: true })
  await mkdir(entry(name, 'cache/debian~main.metadata.cache'), { recursive: true })
  if (manifest) await writeFile(entry(name, 'cache/debian~main.manifest'), '{}')
}

describe('Workshop', () => {
  it('keeps what mkosi finished, and removes its workspace', async () => {
    const name = `small-${bases[0]}`
    {
      await using workshop = await Workshop.open(cache, 'small', bases[0] ?? '', {})
      expect(workshop.workspaceDirectory).toBe(entry(name, 'work'))
      await writeFile(join(workshop.workspaceDirectory, 'half'), '')
      await fill(name)
    }
    expect(await readdir(entry(name))).toEqual(['cache'])
    await using _again = await Workshop.open(cache, 'small', bases[0] ?? '', {})
    expect(await readdir(entry(name))).toEqual(['cache', 'work'])
    expect(await readdir(entry(name, 'work'))).toEqual([])
  })

  it('keeps nothing of an installation that was interrupted, or had not begun', async () => {
    const name = `small-${bases[0]}`
    {
      await using _workshop = await Workshop.open(cache, 'small', bases[0] ?? '', {})
      await fill(name, { manifest: false })
    }
    {
      await using _workshop = await Workshop.open(cache, 'small', bases[1] ?? '', {})
    }
    expect(await readdir(cache.path('images'))).toEqual([])
  })

  it('removes what a killed process left, of any image, but not what is in use', async () => {
    await mkdir(entry(`other-${bases[0]}`, 'work/mkosi-workspace-x'), { recursive: true })
    await using _used = await Workshop.open(cache, 'small', bases[0] ?? '', {})
    await using _other = await Workshop.open(cache, 'small', bases[1] ?? '', {})
    expect(existsSync(entry(`other-${bases[0]}`, 'work'))).toBe(false)
    expect(existsSync(entry(`small-${bases[0]}`, 'work'))).toBe(true)
  })

  it('keeps three caches for each image, those used last', async () => {
    for (const [age, base] of bases.entries()) {
      await fill(`small-${base}`)
      await utimes(entry(`small-${base}`), 1_000 - age, 1_000 - age)
    }
    await fill(`small-large-${bases[0]}`)
    {
      await using _workshop = await Workshop.open(cache, 'small', bases[4] ?? '', {})
    }
    expect(await readdir(cache.path('images'))).toEqual([
      ...[bases[0], bases[1], bases[4]].map((base) => `small-${base}`),
      `small-large-${bases[0]}`,
    ])
  })
})
