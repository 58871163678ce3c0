import { randomUUID, X509Certificate } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../system/index.ts'
import type { Cache, Toolchain } from '../toolchain/index.ts'

/** The variables of Secure Boot that keys are enrolled in, in the order in which that is possible (UEFI 32.3). */
export const KEY_VARIABLES = ['db', 'KEK', 'PK'] as const
export type KeyVariable = (typeof KEY_VARIABLES)[number]

/** A key and the certificate for it. */
export interface OwnKey {
  /** PEM, as programs that sign want them. */
  readonly certificatePath: string
  readonly privateKeyPath: string
  /** The certificate in DER, as the firmware wants it. */
  readonly certificate: Uint8Array
}

/** Secure Boot keys of this user, which nobody else trusts. */
export interface OwnKeys {
  /** SignatureOwner of what they enrol. */
  readonly owner: string
  readonly keys: Readonly<Record<KeyVariable, OwnKey>>
}

const OWNER_FILE = 'owner'
/** No firmware looks at it, but a certificate has to have an end. */
const VALID_DAYS = 36_500

/** The user's own keys, made now if there are none: they are secrets, and stay in the cache. */
export async function ownKeys(toolchain: Toolchain, cache: Cache): Promise<OwnKeys> {
  const directory = await cache.entry('secure-boot', 'keys', (made) => makeKeys(toolchain, made))
  const key = async (name: KeyVariable): Promise<OwnKey> => {
    const certificatePath = join(directory, `${name}.pem`)
    const { raw } = new X509Certificate(await readFile(certificatePath))
    return { certificatePath, privateKeyPath: join(directory, `${name}.key`), certificate: Uint8Array.from(raw) }
  }
  const [db, KEK, PK] = [await key('db'), await key('KEK'), await key('PK')]
  return { owner: (await readFile(join(directory, OWNER_FILE), 'utf8')).trim(), keys: { db, KEK, PK } }
}

async function makeKeys(toolchain: Toolchain, directory: string): Promise<void> {
  await chmod(directory, 0o700)
  await writeFile(join(directory, OWNER_FILE), `${randomUUID()}\n`)
  for (const name of KEY_VARIABLES) await makeKey(toolchain, directory, name)
}

/** Makes `<name>.key` and the certificate for it, `<name>.pem`, in a directory that nobody else can enter. */
export async function makeKey(
  toolchain: Toolchain,
  directory: string,
  name: string,
  signal?: AbortSignal,
): Promise<Pick<OwnKey, 'certificatePath' | 'privateKeyPath'>> {
  const [privateKeyPath, certificatePath] = [join(directory, `${name}.key`), join(directory, `${name}.pem`)]
  // biome-ignore format: an option and its value a line
  const argv = [
    'openssl', 'req', '-x509', '-batch', '-sha256',
    '-newkey', 'rsa:2048', '-noenc', '-keyout', privateKeyPath,
    '-subj', `/CN=Bootwright ${name}`,
    '-days', String(VALID_DAYS),
    '-out', certificatePath,
  ]
  await run(toolchain.command(argv), { signal })
  await chmod(privateKeyPath, 0o600)
  return { certificatePath, privateKeyPath }
}
