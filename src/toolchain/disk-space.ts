import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BootwrightError } from '../system/index.ts'

/** The two facts of statfs(2) that say how much an ordinary user may still write. */
export type StatFs = (path: string) => Promise<{ readonly bavail: number; readonly bsize: number }>

const MIB = 1024 * 1024

/** MiB that can still be written below a path, which need not exist yet. */
export async function freeMiB(path: string, statFs: StatFs = statfs): Promise<number> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statFs(at)
      return Math.floor((bavail * bsize) / MIB)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === dirname(at)) throw error
    }
  }
}

/** Rejects with `NO_SPACE` before any work is begun that could not be finished. */
export async function requireSpace(
  what: string,
  path: string,
  neededMiB: number,
  options: { readonly statFs?: StatFs | undefined; readonly hint?: string } = {},
): Promise<void> {
  const { statFs, hint = 'Free some space, or set BOOTWRIGHT_CACHE to a directory on a larger disk.' } = options
  const found = await freeMiB(path, statFs)
  if (found >= neededMiB) return
  throw new BootwrightError(
    'NO_SPACE',
    `${what} needs ${neededMiB} MiB below ${path}, but only ${found} MiB are free`,
    {
      hint,
      detail: { neededMiB, found },
    },
  )
}
