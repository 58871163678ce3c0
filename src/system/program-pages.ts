import { readFileSync, readlinkSync } from 'node:fs'
import { libc } from './libc.ts'

/** Of `linux/include/uapi/asm-generic/mman-common.h`. */
const MADV_DONTNEED = 4

/** A part of an address space, in bytes. */
export interface Mapping {
  readonly start: bigint
  readonly length: bigint
}

/**
 * Gives back the memory that holds this process's own program as it is in its file: what is needed again is read again, most of the
 * time from the kernel's cache of files, which may now let go of it.
 */
export function releaseProgramPages(): void {
  const program = readlinkSync('/proc/self/exe')
  for (const { start, length } of unwrittenMappings(readFileSync('/proc/self/smaps', 'latin1'), program)) {
    libc().madvise(start, length, MADV_DONTNEED)
  }
}

/** Where a file is mapped that cannot be written to there, and was not: the same bytes can be had from the file (proc(5), `smaps`). */
export function unwrittenMappings(smaps: string, path: string): Mapping[] {
  const found: Mapping[] = []
  for (const [, start = '', end = '', mode, name, fields = ''] of smaps.matchAll(MAPPING)) {
    // What is only read now may have been written to before: addresses that were put in as the program was loaded.
    const isWritten = !/^Anonymous: +0 kB$/m.test(fields)
    if (mode?.[1] === 'w' || isWritten || name !== path) continue
    const [from, to] = [BigInt(`0x${start}`), BigInt(`0x${end}`)]
    found.push({ start: from, length: to - from })
  }
  return found
}

const MAPPING = /^([\da-f]+)-([\da-f]+) (\S{4}) \S+ \S+ \S+ *(.*)\n((?:[A-Z]\w*: .*\n)*)/gm
