import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cloudOption, removedIfNothingRan } from './image-steps.ts'
import { wholeNumber } from './whole-number.ts'

describe('wholeNumber()', () => {
  it('takes whole numbers in its range', () => {
    expect(['1', '42', '65535'].map(wholeNumber('--vnc', 1, 65_535))).toEqual([1, 42, 65_535])
    expect(wholeNumber('--memory', 256)('4096')).toBe(4096)
  })

  it.for(['0', '65536', '-1', '1.5', '1e3', '0x10', ' 7', '', 'many', 'NaN', 'Infinity'])('rejects %j', (text) => {
    expect(() => wholeNumber('--vnc', 1, 65_535)(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: `Expected a whole number from 1 to 65535 for --vnc, found "${text}"`,
      }),
    )
  })
})

describe('cloudOption()', () => {
  it('takes none for no cloud', () => {
    expect(['none', 'aws', undefined].map(cloudOption)).toEqual([undefined, 'aws', undefined])
  })
})

describe('removedIfNothingRan()', () => {
  it('removes what was begun for a machine that was never on', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'bootwright-empty-'))
    try {
      for (const name of ['early', 'full']) await mkdir(join(directory, name))
      await writeFile(join(directory, 'early/dnsmasq.log'), '')
      await writeFile(join(directory, 'full/console.log'), '')
      for (const name of ['early', 'full']) {
        await using _tidy = removedIfNothingRan(join(directory, name))
      }
      expect(await readdir(directory)).toEqual(['full'])
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
