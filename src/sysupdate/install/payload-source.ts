import { open } from 'node:fs/promises'
import {
  detectCompression,
  LONGEST_MAGIC,
  openDownload,
  openPlainFile,
  type Sink,
  type Transferred,
  transfer,
} from '../payload/index.ts'
import type { RunLock } from './target-lock.ts'

/** What is to be installed, as the manifest and its name tell: behind an address, or in a file. */
export type Payload = ({ readonly url: string } | { readonly path: string }) & {
  /** Of the bytes that are sent; local sources have none. */
  readonly sha256?: string | undefined
  /** When decompressed (`@s`). */
  readonly size?: number | undefined
}

/** How often and after what time a download that fails is tried again. */
export interface RetryOptions {
  readonly retries?: number
  readonly backOffMs?: (attempt: number) => number
}

export interface AcquireOptions extends RetryOptions {
  readonly signal?: AbortSignal | undefined
  readonly mayLeaveHost?: boolean | undefined
  /** Told how many bytes have come of a payload, and how many there are where that is known. */
  readonly onProgress?: (receivedBytes: number, totalBytes: number | undefined) => void
  /** Of the run, to take directories that it makes. */
  readonly lock?: RunLock
  /** Whether everything is on the disk before the next step (`--sync=`); yes without. */
  readonly isSynced?: boolean
  /** Whether what was written of a payload that then failed stays, as in systemd 262. */
  readonly keepsPartial?: boolean
}

/** As much as systemd takes, compressed and decompressed. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 ** 3

export async function acquirePayload(
  payload: Payload,
  sink: Sink,
  { onProgress, ...options }: AcquireOptions,
): Promise<Transferred & { readonly lastModified: Date | undefined }> {
  const asked = { ...options, maxBytes: MAX_PAYLOAD_BYTES }
  const download =
    'url' in payload ? await openDownload(payload.url, asked) : await openPlainFile(payload.path, payload.path, asked)
  const done = await transfer(download.body, sink, {
    ...options,
    sha256: payload.sha256,
    size: payload.size,
    onProgress: (receivedBytes) => onProgress?.(receivedBytes, download.size),
  })
  return { ...done, lastModified: download.lastModified }
}

/** How many bytes a payload has when decompressed: as its name says, or as a plain local file has. Undefined where nobody knows. */
export async function payloadSize(payload: Payload): Promise<number | undefined> {
  if (payload.size !== undefined || 'url' in payload) return payload.size
  await using file = await open(payload.path)
  const head = Buffer.alloc(LONGEST_MAGIC)
  const { bytesRead } = await file.read(head, 0, head.byteLength, 0)
  return detectCompression(head.subarray(0, bytesRead)) === 'none' ? (await file.stat()).size : undefined
}
