import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { importedUserData } from './user-data-import.ts'

const userData = Buffer.from('{}')

async function imported(packages: readonly string[], commandLine = '', data: Uint8Array | undefined = userData) {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-manifest-'))
  try {
    const [manifestPath, ukiPath] = [join(directory, 'image.manifest'), join(directory, 'image.efi')]
    await writeFile(manifestPath, JSON.stringify({ packages: packages.map((name) => ({ name })) }))
    await writeFile(ukiPath, ukiWith(commandLine))
    return await importedUserData({ manifestPath, ukiPath }, data)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** A PE32+ file with nothing but a kernel of one byte and this section. */
function ukiWith(commandLine: string): Buffer {
  const [peOffset, optionalSize, headers] = [0x40, 240, 0x200]
  const file = Buffer.alloc(headers + 0x400)
  file.write('MZ')
  file.writeUInt32LE(peOffset, 0x3c)
  file.write('PE\0\0', peOffset)
  file.writeUInt16LE(0x8664, peOffset + 4)
  file.writeUInt16LE(2, peOffset + 6)
  file.writeUInt16LE(optionalSize, peOffset + 20)
  const optional = peOffset + 24
  file.writeUInt16LE(0x20b, optional)
  file.writeUInt32LE(0x1000, optional + 32)
  file.writeUInt32LE(0x200, optional + 36)
  file.writeUInt32LE(0x3000, optional + 56)
  file.writeUInt32LE(headers, optional + 60)
  file.writeUInt32LE(16, optional + 108)
  for (const [index, [name, content]] of [
    ['.linux', 'k'],
    ['.cmdline', commandLine],
  ].entries() as ArrayIterator<[number, [string, string]]>) {
    const [section, data] = [optional + optionalSize + index * 40, headers + index * 0x200]
    file.write(name, section)
    file.writeUInt32LE(content.length, section + 8)
    file.writeUInt32LE(0x1000 * (index + 1), section + 12)
    file.writeUInt32LE(0x200, section + 16)
    file.writeUInt32LE(data, section + 20)
    file.write(content, data)
  }
  return file
}

it('takes user data for imported where the image has what asks for them', async () => {
  expect(await imported(['systemd', 'systemd-imds'])).toEqual({ userData })
  expect(await imported(['systemd'])).toEqual({})
})

it.for([
  ['quiet systemd.imds.import=yes rw', true],
  ['systemd.imds.import', true],
  ['systemd.imds.import=no systemd.imds.import=1', true],
  ['systemd.imds.import=no', false],
  ['systemd.imds.imports=yes', undefined],
] as const)('goes by the command line "%s"', async ([commandLine, isImported]) => {
  const [none, all] = [{}, { userData }]
  expect(await imported(['systemd'], commandLine)).toEqual(isImported === true ? all : none)
  expect(await imported(['systemd-imds'], commandLine)).toEqual(isImported === false ? none : all)
})

it('takes nothing for imported where there is nothing, or no list of packages', async () => {
  const ukiPath = '/nowhere'
  expect(await importedUserData({ manifestPath: '/nowhere', ukiPath }, undefined)).toEqual({})
  expect(await importedUserData({ manifestPath: undefined, ukiPath }, userData)).toEqual({})
})
