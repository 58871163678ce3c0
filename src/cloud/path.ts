import { headerValue, type MetadataRequest } from './provider.ts'

/** Names below the root; a trailing slash leaves an empty last one. Undefined when the path is malformed. */
export function decodePath(path: string): readonly string[] | undefined {
  if (!path.startsWith('/')) return undefined
  try {
    return path.slice(1).split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

/**
 * The parameters of a query, in their order: `+` is a blank (WHATWG URL, application/x-www-form-urlencoded). Undefined
 * when a percent sign encodes nothing that is UTF-8.
 */
export function decodeQuery(query: string): readonly (readonly [name: string, value: string])[] | undefined {
  const pairs = query.split('&').filter((pair) => pair !== '')
  try {
    return pairs.map((pair) => {
      const at = pair.indexOf('=')
      const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
      return [decodeWord(name), decodeWord(value)]
    })
  } catch {
    return undefined
  }
}

function decodeWord(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/**
 * Where a listing is that was asked for without its slash, for `Location`. What no header may have (RFC 9110, 5.5) is
 * encoded: a path and a query are the client's.
 */
export function slashedLocation({ headers, path, query }: Pick<MetadataRequest, 'headers' | 'path' | 'query'>): string {
  const host = headerValue(headers, 'Host')
  const location = `${host === undefined ? '' : `http://${host}`}${path}/${query === '' ? '' : `?${query}`}`
  return location.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, encodeURIComponent)
}
