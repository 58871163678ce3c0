import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { errnoText, ToolFailure } from '../tool-failure.ts'

/** Whatever can sign, wherever its key is. */
export interface Signer {
  sign(content: Uint8Array): Buffer
  publicKey(): KeyObject
}

/** A private key in PEM form. `warn` is told when others may read it. */
export function readPrivateKey(path: string, warn: (text: string) => void): KeyObject {
  try {
    const mode = statSync(path).mode & 0o7777
    if ((mode & 0o007) !== 0) {
      const digits = mode.toString(8).padStart(4, '0')
      warn(`${path} has ${digits} mode that is too permissive, please adjust the ownership and access mode.`)
    }
    return createPrivateKey(readFileSync(path))
  } catch (error) {
    const isSystem = typeof (error as NodeJS.ErrnoException).errno === 'number'
    const reason = isSystem ? errnoText(error) : 'Operation not supported'
    throw new ToolFailure(`Failed to load private key from ${path}: ${reason}`)
  }
}

/** A public key in PEM form (SubjectPublicKeyInfo). */
export function readPublicKey(path: string): KeyObject {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (error) {
    throw new ToolFailure(`Failed to open public key file '${path}': ${errnoText(error)}`)
  }
  try {
    // Node would take the public half of a private key as well.
    if (!text.includes('-----BEGIN PUBLIC KEY-----')) throw new Error('no public key')
    return createPublicKey(text)
  } catch {
    throw new ToolFailure(`Failed to parse public key '${path}'.`)
  }
}

/** The public key of a certificate in PEM form. */
export function readCertificateKey(path: string): KeyObject {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new ToolFailure(`Failed to load X.509 certificate from ${path}: ${errnoText(error)}`)
  }
  try {
    return new X509Certificate(bytes).publicKey
  } catch {
    throw new ToolFailure(`Failed to load X.509 certificate from ${path}: Bad message`)
  }
}
