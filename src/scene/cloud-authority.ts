import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeAuthorityKeys, makeSigner, pem, type Signer } from '../cloud/index.ts'
import { Cache } from '../toolchain/index.ts'

/** The certificate of who signs for the clouds: what a client needs that is to believe their documents. */
const CERTIFICATE_FILE = 'authority.pem'
const KEY_FILES = { authority: 'authority.key.pem', rsa: 'rsa.key.pem', dsa: 'dsa.key.pem' } as const

/** Who signs for the clouds of this user, made now if there is nobody: the keys are secrets, and stay in the cache. */
export async function cloudSigner(cache: Cache = new Cache()): Promise<Signer> {
  const directory = await authorityDirectory(cache)
  const key = async (name: keyof typeof KEY_FILES): Promise<KeyObject> =>
    createPrivateKey(await readFile(join(directory, KEY_FILES[name])))
  const certificate = new X509Certificate(await readFile(join(directory, CERTIFICATE_FILE)))
  return makeSigner({
    authority: { privateKey: await key('authority'), certificate: certificate.raw },
    rsa: await key('rsa'),
    dsa: await key('dsa'),
  })
}

/** The path of the certificate, in PEM. */
export async function cloudAuthorityPath(cache: Cache = new Cache()): Promise<string> {
  return join(await authorityDirectory(cache), CERTIFICATE_FILE)
}

function authorityDirectory(cache: Cache): Promise<string> {
  return cache.entry('cloud-authority', 'keys', async (directory) => {
    await chmod(directory, 0o700)
    const { authority, rsa, dsa } = makeAuthorityKeys()
    const keys = { authority: authority.privateKey, rsa, dsa }
    for (const [name, file] of Object.entries(KEY_FILES)) {
      const text = keys[name as keyof typeof keys].export({ type: 'pkcs8', format: 'pem' })
      await writeFile(join(directory, file), text, { mode: 0o600 })
    }
    await writeFile(join(directory, CERTIFICATE_FILE), pem(authority.certificate))
  })
}
