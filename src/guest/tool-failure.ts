/** What a guest tool says on standard error before it ends with status 1: its whole message, without a prefix. */
export class ToolFailure extends Error {
  override readonly name = 'ToolFailure'
}

/** The words of errno(3) for what a system call of Node rejected with. */
export function errnoText(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? ''
  return WORDS[code] ?? (error instanceof Error ? error.message : String(error))
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
  EPERM: 'Operation not permitted',
}
