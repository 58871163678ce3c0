import { BootwrightError } from '../../system/index.ts'
import { isDownloadFailure, openDownload, type StallLimit } from '../payload/index.ts'
import { checkBestBefore } from './best-before.ts'
import type { Keyring } from './keyrings.ts'
import { MAX_MANIFEST_BYTES, type ManifestEntry, parseManifest } from './manifest.ts'
import { type Signer, verifySignature } from './verify-signature.ts'

export interface FetchManifestOptions {
  /** Keys that may sign it; `undefined` takes it without a signature (`Verify=no`). */
  readonly keyrings: readonly Keyring[] | undefined
  /** The time that `BEST-BEFORE-…` is held against; `undefined` does not look (`SYSTEMD_SYSUPDATE_VERIFY_FRESHNESS=0`). */
  readonly now: Date | undefined
  readonly acceptExpiredKeys?: boolean
  readonly signal?: AbortSignal | undefined
  readonly stall?: StallLimit
  readonly retries?: number
  readonly backOffMs?: (attempt: number) => number
  readonly mayLeaveHost?: boolean
}

export interface FetchedManifest {
  readonly entries: readonly ManifestEntry[]
  /** As it came, for those who keep it. */
  readonly bytes: Uint8Array
  readonly signature: { readonly name: string; readonly signer: Signer } | undefined
  readonly warnings: readonly string[]
}

const MANIFEST = 'SHA256SUMS'
/** In the order in which systemd asks for them; the first that is there counts. */
export const SIGNATURE_NAMES = [
  `${MANIFEST}.sha256.asc`,
  `${MANIFEST}.sha256.gpg`,
  `${MANIFEST}.gpg`,
  `${MANIFEST}.asc`,
] as const
const MAX_SIGNATURE_BYTES = 1024 * 1024

/**
 * The manifest of the directory at `base`, verified. Rejects with `DOWNLOAD_FAILED`, `UPDATE_UNTRUSTED` (signature missing
 * or bad, best before an earlier day) and `MALFORMED_INPUT`.
 */
export async function fetchManifest(base: string, options: FetchManifestOptions): Promise<FetchedManifest> {
  const { bytes, signature } = await fetchVerified(base, options).catch((error: unknown) => {
    // A release that is published between the two requests gives a manifest and the signature of another one.
    const isMismatch = error instanceof BootwrightError && error.detail.gnupg === 'BADSIG'
    if (!isMismatch) throw error
    return fetchVerified(base, options)
  })
  const entries = parseManifest(bytes)
  const warnings = options.now === undefined ? [] : checkBestBefore(entries, options.now)
  return { entries, bytes, signature, warnings }
}

/** The address of a file that a manifest lists. `base` may have a query or fragment, which belongs to no file. */
export function addressOf(base: string, name: string): string {
  const directory = base.replace(/[?#].*$/s, '').replace(/\/+$/, '')
  return `${directory}/${encodeURI(name).replaceAll('?', '%3F').replaceAll('#', '%23')}`
}

async function fetchVerified(
  base: string,
  options: FetchManifestOptions,
): Promise<Pick<FetchedManifest, 'bytes' | 'signature'>> {
  const { keyrings } = options
  const manifest = download(addressOf(base, MANIFEST), MAX_MANIFEST_BYTES, options)
  if (keyrings === undefined) return { bytes: await manifest, signature: undefined }
  const [bytes, signature] = await Promise.all([manifest, fetchSignature(base, options)])
  const { acceptExpiredKeys = false, signal } = options
  const signer = await verifySignature(bytes, signature.bytes, { keyrings, acceptExpiredKeys, signal })
  return { bytes, signature: { name: signature.name, signer } }
}

async function fetchSignature(base: string, options: FetchManifestOptions): Promise<{ name: string; bytes: Buffer }> {
  for (const name of SIGNATURE_NAMES) {
    try {
      return { name, bytes: await download(addressOf(base, name), MAX_SIGNATURE_BYTES, options) }
    } catch (error) {
      if (!isDownloadFailure(error, 'not-found')) throw error
    }
  }
  throw new BootwrightError('UPDATE_UNTRUSTED', `The manifest of ${base} has no signature`, {
    hint: `Sign it: gpg --detach-sign -o ${MANIFEST}.gpg ${MANIFEST}. Looked for: ${SIGNATURE_NAMES.join(', ')}.`,
    detail: { reason: 'no-signature' },
  })
}

async function download(url: string, maxBytes: number, options: FetchManifestOptions): Promise<Buffer> {
  const { body } = await openDownload(url, { ...options, maxBytes })
  const chunks: Buffer[] = []
  for await (const piece of body) chunks.push(Buffer.from(piece))
  return Buffer.concat(chunks)
}
