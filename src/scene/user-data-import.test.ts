import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { importedUserData } from './user-data-import.ts'

const userData = Buffer.from('{}')

async function imported(packages: readonly string[], data: Uint8Array | undefined = userData) {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-manifest-'))
  try {
    const manifestPath = join(directory, 'image.manifest')
    await writeFile(manifestPath, JSON.stringify({ packages: packages.map((name) => ({ name })) }))
    return await importedUserData({ manifestPath }, data)
  } finally {
    await rm(directory, { recursive: true })
  }
}

it('takes user data for imported where the image has what asks for them', async () => {
  expect(await imported(['systemd', 'systemd-imds'])).toEqual({ userData })
  expect(await imported(['systemd'])).toEqual({})
})

it('takes nothing for imported where there is nothing, or no list of packages', async () => {
  expect(await importedUserData({ manifestPath: '/nowhere' }, undefined)).toEqual({})
  expect(await importedUserData({ manifestPath: undefined }, userData)).toEqual({})
})
