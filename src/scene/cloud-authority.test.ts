import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Cache } from '../toolchain/index.ts'
import { cloudAuthorityPath, cloudSigner } from './cloud-authority.ts'

it('keeps its keys to itself, and signs with the same ones each time', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-authority-'))
  try {
    const cache = new Cache(directory)
    const [first, again] = [await cloudSigner(cache), await cloudSigner(cache)]
    expect(again.authority.certificate).toEqual(first.authority.certificate)
    const path = await cloudAuthorityPath(cache)
    expect(new X509Certificate(await readFile(path)).raw).toEqual(Buffer.from(first.authority.certificate))
    const keys = join(path, '..')
    expect((await stat(keys)).mode & 0o077).toBe(0)
    for (const name of await readdir(keys)) {
      if (name.endsWith('.key.pem')) expect((await stat(join(keys, name))).mode & 0o077, name).toBe(0)
    }
    const leaf = new X509Certificate(again.identity('metadata.example').certificate)
    expect(leaf.verify(new X509Certificate(first.authority.certificate).publicKey)).toBe(true)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
