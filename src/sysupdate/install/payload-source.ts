import { openDownload } from '../payload/download.ts'
import type { Sink } from '../payload/sink.ts'
import { type Transferred, transfer } from '../payload/transfer.ts'

/** What is to be installed, as the manifest and its name tell. */
export interface Payload {
  readonly url: string
  /** Of the bytes that are sent; local sources have none. */
  readonly sha256?: string | undefined
  /** When decompressed (`@s`). */
  readonly size?: number | undefined
}

export interface AcquireOptions {
  readonly signal?: AbortSignal | undefined
  readonly mayLeaveHost?: boolean | undefined
  readonly retries?: number
  readonly backOffMs?: (attempt: number) => number
  readonly onProgress?: (bytes: { readonly received: number; readonly written: number }) => void
}

/** As much as systemd takes, compressed and decompressed. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 ** 3

export async function acquirePayload(
  payload: Payload,
  sink: Sink,
  options: AcquireOptions,
): Promise<Transferred & { readonly lastModified: Date | undefined }> {
  const download = await openDownload(payload.url, { ...options, maxBytes: MAX_PAYLOAD_BYTES })
  const done = await transfer(download.body, sink, { ...options, sha256: payload.sha256, size: payload.size })
  return { ...done, lastModified: download.lastModified }
}
