import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError, tryContentLock, tryLock } from '../../system/index.ts'
import { printable } from '../payload/index.ts'

/**
 * The targets of one run, taken for it alone by locks of the kernel, which end with the run and so with the process. A target
 * that is taken again is the same one.
 *
 * Of a disk only the bytes are locked, not the device: udev waits for the lock of that, which is held while a table is written.
 */
export class RunLock implements Disposable {
  readonly #held = new Map<string, number>()

  /** The directory of a target, or nothing where there is none. Rejects with `UPDATE_LOCKED` and who has it. */
  holdDirectory(path: string, name = path): void {
    this.#hold(path, name, constants.O_RDONLY | constants.O_DIRECTORY, tryLock)
  }

  /** A disk, or the image of one. */
  holdDisk(path: string): void {
    this.#hold(path, path, constants.O_RDWR, tryContentLock)
  }

  #hold(path: string, name: string, flags: number, tryTo: (fd: number) => boolean): void {
    let fd: number
    try {
      fd = openSync(path, flags)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    const { dev, ino } = fstatSync(fd, { bigint: true })
    const identity = `${dev}:${ino}`
    try {
      if (!this.#held.has(identity)) {
        if (!tryTo(fd)) throw lockedError(fd, name)
        this.#held.set(identity, fd)
        return
      }
    } catch (error) {
      closeSync(fd)
      throw error
    }
    closeSync(fd)
  }

  [Symbol.dispose](): void {
    for (const fd of this.#held.values()) closeSync(fd)
    this.#held.clear()
  }
}

const TABLE_WAIT_MS = 30_000
const TABLE_RETRY_MS = 20

/** Waits for the lock of a disk whose table is to be written: udev has it while it looks at the disk. */
export async function lockTable(fd: number, name: string): Promise<void> {
  for (let waitedMs = 0; !tryLock(fd); waitedMs += TABLE_RETRY_MS) {
    if (waitedMs >= TABLE_WAIT_MS) throw lockedError(fd, name)
    await sleep(TABLE_RETRY_MS)
  }
}

function lockedError(fd: number, name: string): BootwrightError {
  return new BootwrightError('UPDATE_LOCKED', `${name} is being updated by ${holderOf(fd) ?? 'another process'}`, {
    hint: 'Wait until it has ended, or end it.',
  })
}

/**
 * Of a descriptor's `lock:` in /proc/PID/fdinfo (proc(5)): `1: FLOCK ADVISORY WRITE 708 00:2d:1093 0 EOF`. Undefined when it is
 * of another namespace, or of somebody whom this user may not look at.
 */
function holderOf(fd: number): string | undefined {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const hex = (value: bigint): string => value.toString(16).padStart(2, '0')
  const lock = new RegExp(`^lock:.*WRITE -?\\d+ ${hex(major)}:${hex(minor)}:${ino} `, 'm')
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const isHolder = readdirSync(`/proc/${pid}/fdinfo`).some((one) =>
        lock.test(readFileSync(`/proc/${pid}/fdinfo/${one}`, 'utf8')),
      )
      if (isHolder) return `process ${pid} (${printable(readFileSync(`/proc/${pid}/comm`, 'utf8').trim())})`
    } catch {
      // It has ended since, or is hidden from us.
    }
  }
  return undefined
}
