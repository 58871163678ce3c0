import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type OpenPgpKey, openPgpFingerprint, openPgpPublicKey } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Cache } from '../toolchain/index.ts'

/** Who signs the releases of this user. */
export interface SigningKey extends OpenPgpKey {
  /** 40 hexadecimal digits. */
  readonly fingerprint: string
  /** What a machine has as `/etc/systemd/import-pubring.pgp` to take them. */
  readonly publicKeyPath: string
}

const PRIVATE = 'private.pem'
const PUBLIC = 'import-pubring.pgp'
const ABOUT = 'key.json'
const USER_ID = 'Bootwright releases'

/** The user's own key, made now if there is none: a secret, which stays in the cache. */
export async function ownSigningKey(cache: Cache, now: Date): Promise<SigningKey> {
  return readKey(await cache.entry('release-key', 'key', (directory) => makeKey(directory, now)))
}

/** The key in a directory of somebody's own; rejects with `INVALID_ARGUMENT` where there is none that can be read. */
export async function signingKeyIn(directory: string): Promise<SigningKey> {
  return readKey(directory).catch((cause: unknown) => {
    throw new BootwrightError('INVALID_ARGUMENT', `There is no key for releases in ${directory}`, {
      cause,
      hint: `It has ${PRIVATE}, ${ABOUT} and ${PUBLIC}; \`bootwright release --make-key ${directory}\` makes one.`,
    })
  })
}

/** Makes a key in a directory, which must not be there yet or be empty. */
export async function makeSigningKey(directory: string, now: Date): Promise<SigningKey> {
  await mkdir(directory, { recursive: true })
  await makeKey(directory, now).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause
    throw new BootwrightError('INVALID_ARGUMENT', `There is a key for releases in ${directory} already`, { cause })
  })
  return readKey(directory)
}

async function makeKey(directory: string, now: Date): Promise<void> {
  await chmod(directory, 0o700)
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
  await writeFile(join(directory, PRIVATE), pem, { mode: 0o600, flag: 'wx' })
  const createdAt = new Date(Math.floor(now.getTime() / 1000) * 1000)
  const about = { schema: 1, createdAt: createdAt.toISOString(), userId: USER_ID }
  await writeFile(join(directory, ABOUT), `${JSON.stringify(about)}\n`)
  await writeFile(join(directory, PUBLIC), openPgpPublicKey({ privateKey, createdAt, userId: USER_ID }))
}

async function readKey(directory: string): Promise<SigningKey> {
  const privateKey = createPrivateKey(await readFile(join(directory, PRIVATE)))
  const about: unknown = JSON.parse(await readFile(join(directory, ABOUT), 'utf8'))
  const { createdAt, userId } = about as { createdAt?: unknown; userId?: unknown }
  const date = new Date(typeof createdAt === 'string' ? createdAt : Number.NaN)
  if (privateKey.asymmetricKeyType !== 'ed25519' || typeof userId !== 'string' || Number.isNaN(date.getTime())) {
    throw new BootwrightError('INVALID_ARGUMENT', `The key in ${directory} is no Ed25519 key with ${ABOUT} beside it`)
  }
  const key = { privateKey, createdAt: date, userId }
  return { ...key, fingerprint: openPgpFingerprint(key), publicKeyPath: join(directory, PUBLIC) }
}
