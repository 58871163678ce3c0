const VERSION = /^[A-Za-z0-9.~^_+-]+$/
/** NAME_MAX of Linux: the longest file name. */
const NAME_MAX = 255

/** Whether a text can be a version: characters of UAPI.10 that a file name can hold. */
export function isVersion(text: string): boolean {
  return VERSION.test(text) && isFileName(text)
}

/** Whether a text can be one component of a path. */
export function isFileName(text: string): boolean {
  return text !== '' && text !== '.' && text !== '..' && !/[/\0]/.test(text) && Buffer.byteLength(text) <= NAME_MAX
}

/** A boolean as systemd's configuration files have it; undefined for any other text. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase()
  if (['1', 'yes', 'y', 'true', 't', 'on'].includes(word)) return true
  if (['0', 'no', 'n', 'false', 'f', 'off'].includes(word)) return false
  return undefined
}

/** An absolute path without `.`, `..`, empty components or a slash at its end. */
export function isNormalizedAbsolutePath(path: string): boolean {
  if (path === '/') return true
  return path.startsWith('/') && path.length < 4096 && path.slice(1).split('/').every(isFileName)
}

/** An http, https or (for tests) file URL in ASCII. */
export function isDownloadUrl(text: string): boolean {
  return /^(?:https?:\/\/.|file:\/)/.test(text) && /^\p{ASCII}*$/u.test(text)
}

/** An address of documentation: http or https, anything behind it. */
export function isWebUrl(text: string): boolean {
  return /^https?:\/\/./.test(text) && /^\p{ASCII}*$/u.test(text)
}
