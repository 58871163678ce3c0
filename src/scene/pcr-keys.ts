import { createHash, X509Certificate } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TreeMakers } from '../image/index.ts'
import { makeKey } from '../machine/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'

const [KIND, NAME, CONFIGURATION] = ['pcr-keys', 'own', 'mkosi.conf']

/**
 * What an image asks for whose UKI is to have signed PCR policies (`ExtraTrees=pcr-keys` in `[X-Bootwright]`): the user's own
 * key for them, as configuration. It is made now if there is none, is a secret, and stays in the cache.
 */
export function pcrKeys(toolchain: Toolchain, cache: Cache, signal?: AbortSignal) {
  return {
    'pcr-keys': async () => {
      const final = cache.path(KIND, NAME)
      const make = async (directory: string) => {
        await chmod(directory, 0o700)
        await makeKey(toolchain, directory, 'PCR', signal)
        const settings = [
          '[Validation]',
          'SignExpectedPcr=yes',
          `SignExpectedPcrKey=${join(final, 'PCR.key')}`,
          `SignExpectedPcrCertificate=${join(final, 'PCR.pem')}`,
        ]
        await writeFile(join(directory, CONFIGURATION), `${settings.join('\n')}\n`)
      }
      const path = await cache.entry(KIND, NAME, make, { signal })
      const { raw } = new X509Certificate(await readFile(join(path, 'PCR.pem')))
      return { path, identity: createHash('sha256').update(raw).digest('hex'), isConfiguration: true }
    },
  } satisfies TreeMakers
}
