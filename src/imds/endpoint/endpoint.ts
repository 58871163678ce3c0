import type { WellKnown } from '../well-known.ts'

/** Where the metadata of an instance is, and how it is asked for. Every field may be missing. */
export interface Endpoint {
  readonly vendor?: string
  readonly tokenUrl?: string
  /** Header of the request for a token that says for how many seconds it is wanted. */
  readonly refreshHeaderName?: string
  readonly dataUrl?: string
  readonly dataUrlSuffix?: string
  /** Header of a request for data that carries the token. */
  readonly tokenHeaderName?: string
  /** `Name: value`, for requests for data. */
  readonly extraHeader?: readonly string[]
  /** What the host is told of the service's address; requests go to where the URLs lead. */
  readonly addressIPv4?: string
  readonly addressIPv6?: string
  /** Paths behind the data URL. */
  readonly wellKnown?: Readonly<Partial<Record<WellKnown, string>>>
}

/** One that can be asked. */
export interface UsableEndpoint extends Endpoint {
  readonly dataUrl: string
}

/** It needs an address for data, and both or neither of what a token needs. */
export function isUsable(endpoint: Endpoint | undefined): endpoint is UsableEndpoint {
  if (endpoint?.dataUrl === undefined) return false
  return (endpoint.tokenUrl === undefined) === (endpoint.tokenHeaderName === undefined)
}

/** The fields that hold one text each, by their names in every source but the command line. */
export const TEXT_FIELDS = {
  vendor: 'vendor',
  token_url: 'tokenUrl',
  refresh_header_name: 'refreshHeaderName',
  data_url: 'dataUrl',
  data_url_suffix: 'dataUrlSuffix',
  token_header_name: 'tokenHeaderName',
  address_ipv4: 'addressIPv4',
  address_ipv6: 'addressIPv6',
} as const satisfies Record<string, keyof Endpoint>

export type TextField = keyof typeof TEXT_FIELDS

/** An endpoint of what a source has under the names above, its headers and its well-known paths; undefined if that is nothing. */
export function gatherEndpoint(source: {
  text(field: TextField): string | undefined
  readonly extraHeader: readonly string[]
  wellKnown(field: string): string | undefined
  readonly fields: readonly WellKnown[]
}): Endpoint | undefined {
  const texts = Object.entries(TEXT_FIELDS).flatMap(([name, field]) => {
    const value = source.text(name as TextField)
    return value === undefined ? [] : [[field, value] as const]
  })
  const wellKnown = source.fields.flatMap((name) => {
    const value = source.wellKnown(name.replaceAll('-', '_'))
    return value === undefined ? [] : [[name, value] as const]
  })
  if (texts.length + wellKnown.length + source.extraHeader.length === 0) return undefined
  return {
    ...Object.fromEntries(texts),
    ...(source.extraHeader.length > 0 && { extraHeader: source.extraHeader }),
    ...(wellKnown.length > 0 && { wellKnown: Object.fromEntries(wellKnown) }),
  }
}
