import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { BootwrightError } from '../../system/index.ts'

export interface Keyring {
  readonly path: string
  readonly bytes: Uint8Array
}

export interface KeyringOptions {
  /** Where `/etc` and `/usr` lie; `/` without. */
  readonly root?: string
  /** `SYSTEMD_OPENPGP_KEYRING`: the only one, in place of all others. */
  readonly override?: string | undefined
  /**
   * Whether the keys of the vendor count beside those of the administrator, as in systemd 262: the vendor of an operating
   * system then signs everybody's updates.
   */
  readonly mergeVendor?: boolean
}

const LOCAL = ['etc/systemd/import-pubring.pgp', 'etc/systemd/import-pubring.gpg']
const VENDOR = 'usr/lib/systemd/import-pubring.pgp'
const MAX_KEYRING_BYTES = 16 * 1024 * 1024

/** The keys that may sign a manifest: the administrator's; where there are none, the vendor's. */
export async function findKeyrings(options: KeyringOptions = {}): Promise<readonly Keyring[]> {
  const { override, root = '/', mergeVendor = false } = options
  if (override !== undefined && override !== '') {
    if (!isAbsolute(override)) {
      throw new BootwrightError(
        'INVALID_ARGUMENT',
        `Expected an absolute path in SYSTEMD_OPENPGP_KEYRING, found "${override}"`,
      )
    }
    return [await keyring(override)]
  }
  const vendor = await readIfThere(join(root, VENDOR))
  for (const path of LOCAL) {
    const local = await readIfThere(join(root, path))
    if (local === undefined) continue
    return mergeVendor && vendor !== undefined ? [local, vendor] : [local]
  }
  if (vendor !== undefined) return [vendor]
  throw noKeyring(`${join(root, LOCAL[0] ?? '')} and ${join(root, VENDOR)}`)
}

async function keyring(path: string): Promise<Keyring> {
  const found = await readIfThere(path)
  if (found === undefined) throw noKeyring(path)
  return found
}

async function readIfThere(path: string): Promise<Keyring | undefined> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (bytes === undefined) return undefined
  if (bytes.byteLength > MAX_KEYRING_BYTES) {
    throw new BootwrightError('MALFORMED_INPUT', `${path} has ${bytes.byteLength} bytes, which no keyring has`)
  }
  return { path, bytes: dearmored(bytes, path) }
}

/** GnuPG reads keyrings in binary only (RFC 9580, 6: ASCII armor). */
function dearmored(bytes: Buffer, path: string): Uint8Array {
  const text = bytes.toString('latin1')
  const blocks = [
    ...text.matchAll(
      /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\n]+\n)*\r?\n([^-]*)-----END PGP PUBLIC KEY BLOCK-----/g,
    ),
  ]
  if (blocks.length === 0) {
    if (!text.includes('-----BEGIN PGP')) return bytes
    throw new BootwrightError('MALFORMED_INPUT', `${path} has no public keys in its ASCII armor`)
  }
  // The line that begins with "=" is a checksum over the others.
  return Buffer.concat(blocks.map(([, body = '']) => Buffer.from(body.replaceAll(/^=.*$/gm, ''), 'base64')))
}

function noKeyring(where: string): BootwrightError {
  return new BootwrightError('UPDATE_UNTRUSTED', `There are no keys to verify the manifest with: looked at ${where}`, {
    hint: 'Install the public key of whoever makes the releases as /etc/systemd/import-pubring.pgp.',
    detail: { reason: 'no-keyring' },
  })
}
