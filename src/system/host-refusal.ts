import { BootwrightError } from './error.ts'

/** Codes with which the kernel says that this process may not, or this disk can not. */
const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is no directory',
  EEXIST: 'something else is in its place',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EIO: 'the disk fails',
}

const ACTIONS: Readonly<Record<string, string>> = { mkdir: 'make the directory', scandir: 'read the directory' }

/**
 * An error of a system call as one of the host's: `NO_SPACE` or `HOST_UNSUITABLE` with what was to be done and why not.
 * Anything else, a `BootwrightError` among them, comes back as it is.
 */
export function asHostError(error: unknown, what?: string, hint?: string): unknown {
  if (error instanceof BootwrightError || !(error instanceof Error)) return error
  const { code, syscall, path } = error as NodeJS.ErrnoException
  const action = what ?? `Cannot ${ACTIONS[syscall ?? ''] ?? syscall ?? 'use'} ${path ?? 'a file'}`
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BootwrightError('NO_SPACE', `${action}: no space is left`, {
      cause: error,
      hint: hint ?? 'Free some space on that disk.',
    })
  }
  // Node says so of `mkdir` with `recursive` on a file system that is mounted read-only.
  const reason = REFUSALS[code === 'ENOENT' && syscall === 'mkdir' ? 'EROFS' : (code ?? '')]
  if (reason === undefined) return error
  return new BootwrightError('HOST_UNSUITABLE', `${action}: ${reason}`, {
    cause: error,
    hint: hint ?? 'Make it usable for this user, or work in a clone and a cache (BOOTWRIGHT_CACHE) of your own.',
  })
}
