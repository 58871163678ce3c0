import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** The user's PATH with the directories of system programs, which Debian leaves out for ordinary users. */
export function searchPath(): string {
  const directories = (process.env.PATH ?? '').split(delimiter)
  return [...directories, ...['/usr/sbin', '/sbin'].filter((path) => !directories.includes(path))].join(delimiter)
}

/** The file that a program of this name is started from; undefined when there is none. */
export async function programPath(name: string): Promise<string | undefined> {
  for (const directory of searchPath().split(delimiter)) {
    const path = join(directory || '.', name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}
