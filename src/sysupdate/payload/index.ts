export { openDownload } from './download.ts'
export { isDownloadFailure, printable } from './download-error.ts'
export type { StallLimit } from './stall-watch.ts'
