import { fstatSync, readFileSync } from 'node:fs'
import { BootwrightError, tryLock } from '../../system/index.ts'
import { printable } from '../payload/index.ts'

/**
 * Takes a target for this run alone: the kernel's lock on its directory or disk, which ends with the descriptor and so
 * with the process. Rejects with `UPDATE_LOCKED` and who has it.
 */
export function lockTarget(fd: number, name: string): void {
  if (tryLock(fd)) return
  const holder = holderOf(fd)
  throw new BootwrightError('UPDATE_LOCKED', `${name} is being updated by ${holder ?? 'another process'}`, {
    hint: 'Wait until it has ended, or end it.',
  })
}

/** Of proc_locks(5): `1: FLOCK ADVISORY WRITE 708 00:2d:1093 0 EOF`. Undefined when it is of another namespace. */
function holderOf(fd: number): string | undefined {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0')
  const where = `${hex(major)}:${hex(minor)}:${ino}`
  try {
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      const [, , , kind, pid, place] = line.trim().split(/\s+/)
      if (kind !== 'WRITE' || place !== where || !(Number(pid) > 0)) continue
      const command = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
      return `process ${pid} (${printable(command)})`
    }
  } catch {
    // It has ended since, or is hidden from us.
  }
  return undefined
}
