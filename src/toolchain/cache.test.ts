import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Cache, cacheDirectory, removeTree } from './cache.ts'

const directories: string[] = []
let cache: Cache

beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  directories.push(directory)
  cache = new Cache(join(directory, 'cache'))
})

afterAll(async () => {
  for (const directory of directories) await removeTree(directory)
})

describe('cacheDirectory()', () => {
  it.for([
    [{ BOOTWRIGHT_CACHE: '/a/own', XDG_CACHE_HOME: '/a/xdg', HOME: '/h' }, '/a/own'],
    [{ XDG_CACHE_HOME: '/a/xdg', HOME: '/h' }, '/a/xdg/bootwright'],
    [{ XDG_CACHE_HOME: 'relative', HOME: '/h' }, '/h/.cache/bootwright'],
    [{ BOOTWRIGHT_CACHE: '', HOME: '/h' }, '/h/.cache/bootwright'],
  ] as const)('%j gives %s', ([env, expected]) => {
    expect(cacheDirectory(env)).toBe(expected)
  })

  it('refuses a name that mount options cannot hold', () => {
    expect(() => cacheDirectory({ BOOTWRIGHT_CACHE: '/a:b' })).toThrow(/BOOTWRIGHT_CACHE|cannot take/)
  })
})

describe('Cache.entry()', () => {
  it('makes an entry once when two want it at the same time', async () => {
    let made = 0
    const make = async (directory: string): Promise<void> => {
      made++
      await new Promise((resolve) => setTimeout(resolve, 50))
      await writeFile(join(directory, 'f'), 'complete')
    }
    const [a, b] = await Promise.all([cache.entry('k', 'n', make), new Cache(cache.directory).entry('k', 'n', make)])
    expect(made).toBe(1)
    expect(a).toBe(b)
    expect(await readFile(join(a, 'f'), 'utf8')).toBe('complete')
  })

  it('leaves nothing when making fails, not even directories that their owner may not write', async () => {
    const failing = cache.entry('k', 'n', async (directory) => {
      await mkdir(join(directory, 'closed'))
      await writeFile(join(directory, 'closed', 'f'), '')
      await chmod(join(directory, 'closed'), 0o500)
      throw new Error('broken')
    })
    await expect(failing).rejects.toThrow('broken')
    expect(await readdir(cache.path('k'))).toEqual([])
    expect(await cache.find('k', 'n')).toBeUndefined()
  })

  it('removes what a killed maker left, and makes the entry anew', async () => {
    const program = `const { Cache } = await import('${import.meta.dirname}/cache.ts')
      const { writeFile } = await import('node:fs/promises')
      await new Cache(${JSON.stringify(cache.directory)}).entry('k', 'n', async (directory) => {
        await writeFile(directory + '/half', 'half'); console.log('busy'); await new Promise((r) => setTimeout(r, 1e6))
      })`
    const maker = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(maker.stdout, 'data')
    maker.kill('SIGKILL')
    await once(maker, 'close')
    expect(await readdir(cache.path('k'))).toHaveLength(1)
    // Any other entry of that kind cleans up already.
    await cache.entry('k', 'other', async () => {})
    expect(await readdir(cache.path('k'))).toEqual(['other'])
    const entry = await cache.entry('k', 'n', (directory) => writeFile(join(directory, 'whole'), ''))
    expect(await readdir(entry)).toEqual(['whole'])
  })

  it('does not touch what a living maker is at', async () => {
    const { promise: mayFinish, resolve: finish } = Promise.withResolvers<void>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const slow = cache.entry('k', 'slow', async (directory) => {
      await writeFile(join(directory, 'f'), '')
      begin()
      await mayFinish
    })
    await begun
    await cache.entry('k', 'quick', async () => {})
    finish()
    expect(await readdir(await slow)).toEqual(['f'])
  })

  it('says NO_SPACE when the disk is full', async () => {
    const full = cache.entry('k', 'n', async () => {
      throw Object.assign(new Error('write'), { code: 'ENOSPC' })
    })
    await expect(full).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(await readdir(cache.path('k'))).toEqual([])
  })

  it('says that it cannot write where a file is in the way', async () => {
    await writeFile(cache.directory, '')
    await expect(cache.entry('k', 'n', async () => {})).rejects.toMatchObject({ code: 'HOST_UNSUITABLE' })
  })
})

describe('Cache.recall()', () => {
  it('gives what was remembered, and nothing for a damaged record', async () => {
    await cache.remember('fact', { a: 1 })
    expect(await cache.recall('fact')).toEqual({ a: 1 })
    await writeFile(cache.path('remembered', 'fact.json'), '{"a":')
    expect(await cache.recall('fact')).toBeUndefined()
    expect(await cache.recall('never')).toBeUndefined()
  })
})
