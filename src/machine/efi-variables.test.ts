import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { readyToolchain } from '../toolchain/index.ts'
import { efiVariables } from './efi-variables.ts'

const toolchain = await readyToolchain().catch(() => undefined)
const ovmf = join(toolchain?.root ?? '', 'usr/share/OVMF')

describe.skipIf(!existsSync(ovmf))(
  'efiVariables() of what OVMF comes with (needs the tools: ./bootwright setup)',
  () => {
    let directory: string
    let path: string

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'bootwright-variables-'))
      path = join(directory, 'variables.fd')
    })

    afterEach(() => rm(directory, { recursive: true, force: true }))

    it.for([
      ['OVMF_VARS_4M.fd', []],
      ['OVMF_VARS_4M.ms.fd', ['KEK', 'PK', 'db', 'dbx']],
      ['OVMF_VARS_4M.snakeoil.fd', ['KEK', 'PK', 'db']],
    ] as const)('reads and writes %s', async ([file, names]) => {
      await copyFile(join(ovmf, file), path)
      const variables = await efiVariables(path)
      expect([...variables].map(({ name }) => name)).toEqual(names)
      await variables.set({ name: 'Mark', data: Buffer.from('x') })
      expect((await efiVariables(path)).get('Mark')).toMatchObject({ attributes: 7, data: Uint8Array.of(0x78) })
      expect(await variables.delete('Mark')).toBe(true)
      expect(await variables.delete('Mark')).toBe(false)
      // Nothing had been deleted in it: not a byte is different.
      expect((await readFile(path)).equals(await readFile(join(ovmf, file)))).toBe(true)
      expect(await readdir(directory)).toEqual(['variables.fd'])
    })

    it('keeps attributes, and leaves the file alone when it cannot write', async () => {
      await copyFile(join(ovmf, 'OVMF_VARS_4M.snakeoil.fd'), path)
      const variables = await efiVariables(path)
      await variables.set({ name: 'PK', data: Buffer.from('other key') })
      expect(variables.get('PK')).toMatchObject({ attributes: 0x27 })
      const before = await readFile(path)
      await expect(variables.set({ name: 'Big', data: new Uint8Array(1024 * 1024) })).rejects.toMatchObject({
        code: 'MALFORMED_INPUT',
      })
      expect((await readFile(path)).equals(before)).toBe(true)
      expect(variables.get('Big')).toBeUndefined()
    })

    it('says what is wrong with a file that is none', async () => {
      await writeFile(path, 'no firmware volume')
      await expect(efiVariables(path)).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    })

    it('writes what virt-fw-vars reads, and reads what that writes', async ({ skip }) => {
      if (toolchain === undefined || !existsSync(join(toolchain.root, 'usr/bin/virt-fw-vars'))) return skip()
      await copyFile(join(ovmf, 'OVMF_VARS_4M.fd'), path)
      const variables = await efiVariables(path)
      await variables.set({ name: 'Timeout', data: Uint8Array.of(7, 0) })
      await variables.set({ name: 'Mark', data: Buffer.from('Q') })
      const { stdout } = await run(toolchain.command(['virt-fw-vars', '--input', path, '--print']))
      expect(stdout).toMatch(/^Timeout\s*: word: 0x0007$/m)
      expect(stdout).toMatch(/^Mark\s*: /m)
      const theirs = join(directory, 'theirs.fd')
      await run(toolchain.command(['virt-fw-vars', '--input', path, '--output', theirs, '--delete', 'Mark', '--sb']))
      const read = await efiVariables(theirs)
      expect(read.get('Mark')).toBeUndefined()
      expect(read.get('Timeout')?.data).toEqual(Uint8Array.of(7, 0))
    })
  },
)
