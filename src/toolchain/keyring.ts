import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'

/** The keyring of Debian's archive, where the package debian-archive-keyring puts it (newer name first). */
const DEBIAN_ARCHIVE_KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
] as const

/** The keyring of Debian's archive below the first of these root directories that has one; it need not be readable. */
export async function debianArchiveKeyring(roots: readonly string[] = ['/']): Promise<string | undefined> {
  for (const path of roots.flatMap((root) => DEBIAN_ARCHIVE_KEYRINGS.map((keyring) => join(root, keyring)))) {
    const isThere = await stat(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
    )
    if (isThere) return path
  }
  return undefined
}

export function noKeyring(): BootwrightError {
  return new BootwrightError('PACKAGE_SOURCE', `This host lacks the keyring of Debian's archive`, {
    hint: `Install the package debian-archive-keyring (on Fedora debian-keyring), or put the file to ${DEBIAN_ARCHIVE_KEYRINGS[0]}.`,
    detail: { expected: DEBIAN_ARCHIVE_KEYRINGS.join(' ') },
  })
}

/**
 * The bytes of an OpenPGP keyring file. Rejects with `PACKAGE_SOURCE` when it cannot be read or is none: apt itself
 * only warns and then calls every index unsigned.
 */
export async function readKeyring(file: string): Promise<Uint8Array> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(file)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error'
    throw new BootwrightError('PACKAGE_SOURCE', `Cannot read the archive keyring ${file}: ${code}`, {
      cause,
      hint:
        code === 'ENOENT'
          ? 'Install the package debian-archive-keyring.'
          : `Make it readable for everybody: chmod a+r ${file}`,
    })
  }
  if (!isOpenPgp(bytes)) {
    throw new BootwrightError('PACKAGE_SOURCE', `${file} should be an OpenPGP keyring, but holds something else`, {
      hint: 'Reinstall the package debian-archive-keyring, or correct Signed-By in the package sources.',
      detail: { bytes: bytes.length },
    })
  }
  return bytes
}

/** ASCII armour, or a binary stream that begins with a public-key packet (RFC 9580, sections 4.2 and 5). */
function isOpenPgp(bytes: Uint8Array): boolean {
  const first = bytes[0]
  if (first === undefined) return false
  if (Buffer.from(bytes.subarray(0, 4096)).includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')) return true
  const isNewFormat = (first & 0xc0) === 0xc0
  const tag = isNewFormat ? first & 0x3f : (first >> 2) & 0x0f
  return (first & 0x80) !== 0 && tag === 6
}
