import { isIPv4, isIPv6 } from 'node:net'

/** Where a request goes and what it asks for. */
export interface HttpTarget {
  readonly isSecure: boolean
  /** A name or an address, without brackets. */
  readonly host: string
  /** Of an IPv6 address; a name or an index. */
  readonly zone: string | undefined
  readonly port: number
  /** As it stands in the address but for `.` and `..`: nothing is decoded or encoded. */
  readonly path: string
  /** What `Host` says. */
  readonly authority: string
}

const ADDRESS =
  /^(https?):\/\/(?:\[([0-9a-f:.]+)(?:%(?:25)?([\w.-]+))?\]|([\w.-]+))(?::(\d{1,5}))?(\/[\x21-\x7e]*|[?#][\x21-\x7e]*)?$/i

/** Reads an address of HTTP; undefined what is none: blanks, control characters, users, other protocols. */
export function parseHttpUrl(url: string): HttpTarget | undefined {
  const [, scheme = '', ipv6, zone, name = '', digits, rest = '/'] = ADDRESS.exec(url) ?? []
  const isSecure = scheme.toLowerCase() === 'https'
  const usual = isSecure ? 443 : 80
  const port = digits === undefined ? usual : Number(digits)
  if (scheme === '' || !(port >= 1 && port <= 65_535)) return undefined
  const host = ipv6 ?? name
  if (ipv6 === undefined ? !isHostName(host) : !isIPv6(host)) return undefined
  const path = withoutDots(rest.replace(/#.*$/, ''))
  const shown = ipv6 === undefined ? host : `[${host}]`
  return { isSecure, host, zone, port, path, authority: port === usual ? shown : `${shown}:${port}` }
}

/** Where an answer leads that says so (`Location`, RFC 9110, 10.2.2); undefined where that is no address of HTTP. */
export function parseRedirect(from: HttpTarget, given: string): HttpTarget | undefined {
  // The one thing that is mended: many servers forget it.
  const location = given.replaceAll(' ', '%20')
  const scheme = from.isSecure ? 'https' : 'http'
  const origin = `${scheme}://${from.authority}`
  if (/^[a-z][a-z0-9+.-]*:/i.test(location)) return parseHttpUrl(location)
  if (location.startsWith('//')) return parseHttpUrl(`${scheme}:${location}`)
  if (location.startsWith('/')) return parseHttpUrl(origin + location)
  const path = from.path.replace(/\?.*$/, '')
  if (location === '') return undefined
  if (location.startsWith('#')) return parseHttpUrl(origin + from.path)
  if (location.startsWith('?')) return parseHttpUrl(origin + path + location)
  return parseHttpUrl(origin + path.slice(0, path.lastIndexOf('/') + 1) + location)
}

/** `.` and `..` between slashes, worked off (RFC 3986, 5.2.4). */
function withoutDots(path: string): string {
  const query = path.indexOf('?')
  const [front, back] = query < 0 ? [path, ''] : [path.slice(0, query), path.slice(query)]
  const kept: string[] = []
  const segments = front.split('/').slice(1)
  for (const [at, segment] of segments.entries()) {
    const isDot = /^(?:\.|%2e)$/i.test(segment)
    const isTwoDots = /^(?:\.|%2e){2}$/i.test(segment)
    if (isTwoDots) kept.pop()
    if (!isDot && !isTwoDots) kept.push(segment)
    else if (at === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}${back}`
}

function isHostName(host: string): boolean {
  return isIPv4(host) || (host.length <= 253 && /^([\w-]{1,63}\.)*[\w-]{1,63}\.?$/.test(host) && !/^[\d.]+$/.test(host))
}
