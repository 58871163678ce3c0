import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findFirmware, provideFirmware } from './firmware-files.ts'

const DEBIAN = ['OVMF_CODE_4M.fd', 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.fd'].map((name) => `usr/share/OVMF/${name}`)

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-ovmf-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

async function place(...files: readonly string[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(directory, file)), { recursive: true })
    await writeFile(join(directory, file), file)
  }
}

/** Copies in place of qemu-img, whose last two arguments are where from and where to. */
const copying = (argv: readonly string[]) => ({ argv: ['cp', ...argv.slice(-2)] })

describe('provideFirmware()', () => {
  it('has nothing to do where the names are those of Debian', async () => {
    await place(...DEBIAN)
    expect(await findFirmware(directory)).toMatchObject({ isDebians: true, missing: [] })
  })

  it('links within a tree so that it can be moved, and out of any other directory', async () => {
    await place(...['CODE.4m', 'CODE.secboot.4m', 'VARS.4m'].map((name) => `usr/share/edk2/x64/OVMF_${name}.fd`))
    const found = await findFirmware(directory)
    expect(found.isDebians).toBe(false)
    await provideFirmware(found, directory, copying)
    expect(await readlink(join(directory, DEBIAN[0] ?? ''))).toBe('../edk2/x64/OVMF_CODE.4m.fd')
    const elsewhere = join(directory, 'elsewhere')
    await provideFirmware(found, elsewhere, copying)
    expect(await readlink(join(elsewhere, DEBIAN[1] ?? ''))).toBe(
      join(directory, 'usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd'),
    )
    expect(await findFirmware(directory)).toMatchObject({ isDebians: true })
  })

  it('converts what is qcow2, which QEMU would take for raw flash', async () => {
    await place(...['CODE_4M', 'CODE_4M.secboot', 'VARS_4M'].map((name) => `usr/share/edk2/ovmf/OVMF_${name}.qcow2`))
    const commands: string[][] = []
    await provideFirmware(await findFirmware(directory), directory, (argv) => {
      commands.push(argv.slice(0, -2))
      return copying(argv)
    })
    expect(commands).toEqual(DEBIAN.map(() => ['qemu-img', 'convert', '-O', 'raw']))
    expect(await readFile(join(directory, DEBIAN[2] ?? ''), 'utf8')).toContain('OVMF_VARS_4M.qcow2')
  })

  it('names what is not there under any name', async () => {
    await place(DEBIAN[0] ?? '')
    expect((await findFirmware(directory)).missing).toEqual(DEBIAN.slice(1))
  })
})
