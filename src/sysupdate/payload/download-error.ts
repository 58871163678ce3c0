import { BootwrightError } from '../../system/index.ts'

/** Why a download ended early; `detail.reason` of the error. */
export type DownloadFailure =
  /** 404 of HTTP, or no such file. */
  | 'not-found'
  /** Another answer than the one that was asked for; `detail.status` says which. */
  | 'status'
  /** The server asks for a log-in (401, 407). */
  | 'unauthorized'
  /** No connection, or one that broke before all was there. */
  | 'broken'
  | 'truncated'
  /** Nothing, or next to nothing, came for too long. */
  | 'stalled'
  /** More bytes than there may be. */
  | 'too-large'
  /** To another host, to another protocol, or in circles. */
  | 'redirected'
  /** An address that is none, or of a protocol that is not spoken. */
  | 'address'

const HINTS: Partial<Record<DownloadFailure, string>> = {
  'not-found': 'Look at the path in the definition, and at what the server has.',
  unauthorized: 'Log-ins are not spoken: serve the directory without one.',
  redirected: 'Name the host that has the files, or allow it to send on to other hosts.',
  'too-large': 'The server sends something else, or the limit is too low.',
  address: 'Addresses begin with http://, https:// or file:/.',
}

export function downloadError(
  reason: DownloadFailure,
  url: string,
  problem: string,
  facts: { cause?: unknown; status?: number } = {},
): BootwrightError {
  const { cause, status } = facts
  return new BootwrightError('DOWNLOAD_FAILED', `Cannot download ${withoutSecrets(url)}: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: HINTS[reason] ?? 'It was tried again as often as told: look at the server and at the network.',
    detail: { reason, ...(status === undefined ? {} : { status }) },
  })
}

export function isDownloadFailure(error: unknown, reason: DownloadFailure): error is BootwrightError {
  return error instanceof BootwrightError && error.code === 'DOWNLOAD_FAILED' && error.detail.reason === reason
}

/** An address for a message: no password, nothing that moves a terminal's cursor, not endless. */
function withoutSecrets(url: string): string {
  return printable(url.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1'))
}

/** Text that did not come from us, for a message: control characters and marks that turn the direction are escaped. */
export function printable(text: string, maxLength = 200): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return cut.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}
