/** More than this is no metadata. */
export const MAX_DATA_BYTES = 4 * 1024 * 1024
export const MAX_TOKEN_BYTES = 4096

/** What the packets of the broker are marked with, so that routing lets them through. */
export const DEFAULT_MARK = 0x7fff_0815

export const DEFAULT_REFRESH_USEC = 15 * 60 * 1_000_000
export const MIN_REFRESH_USEC = 1_000_000

/** In front of the second attempt, the third, and so on. */
export const RETRY_DELAYS_MS: readonly number[] = [20, 40, 80, 160, 320, 640, 1280, 2560, 3000, 3000]

/** For a call whose interface is known, and for one that looks for it. */
export const DIRECT_DEADLINE_MS = 40_000
export const SEARCH_DEADLINE_MS = 45_000
