import { BootwrightError } from '../system/index.ts'

/** One member of an archive, by what can differ in it. */
export interface CpioEntry {
  /** Its fixed header without the check sum, as text. */
  readonly header: string
  readonly content: Buffer
}

const HEADER_BYTES = 110

/** The members of a cpio archive of the "newc" format (cpio(5)), by path, and where the archive ends. */
export function cpioArchive(archive: Buffer): { entries: Map<string, CpioEntry>; endOffset: number } {
  const entries = new Map<string, CpioEntry>()
  let offset = 0
  while (offset + HEADER_BYTES <= archive.byteLength) {
    const header = archive.toString('latin1', offset, offset + HEADER_BYTES)
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) throw damaged(offset)
    const size = Number.parseInt(header.slice(54, 62), 16)
    const nameSize = Number.parseInt(header.slice(94, 102), 16)
    const contentStart = align(offset + HEADER_BYTES + nameSize)
    if (nameSize < 1 || contentStart + size > archive.byteLength) throw damaged(offset)
    const name = archive.toString('utf8', offset + HEADER_BYTES, offset + HEADER_BYTES + nameSize - 1)
    offset = align(contentStart + size)
    if (name === 'TRAILER!!!') break
    entries.set(name, {
      header: header.slice(0, 102),
      content: archive.subarray(contentStart, contentStart + size),
    })
  }
  return { entries, endOffset: Math.min(offset, archive.byteLength) }
}

function align(offset: number): number {
  // Not by bits: beyond 2 GiB those are negative.
  return Math.ceil(offset / 4) * 4
}

function damaged(offset: number): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `Cannot read the cpio archive: no whole member at offset ${offset}`)
}
