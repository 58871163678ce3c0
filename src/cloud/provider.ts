import type { Instance, Overrides } from './instance.ts'
import type { Signer } from './signer.ts'
import type { CloudSmbios } from './smbios.ts'

/**
 * One cloud: its facts as data, and its metadata protocol as a pure function.
 *
 * A provider holds no state. What it must remember between requests (acknowledged events, rate limits) is part of its
 * instance type and comes back as `next` of a response; tokens carry their own lifetime. Time is an argument.
 */
export interface Provider<I extends Instance = Instance> {
  /** The name on the command line. */
  readonly name: string
  readonly title: string
  /** How systemd's hwdb describes it; undefined for clouds that systemd does not know. */
  readonly hwdb: HwdbEntry | undefined
  /** Where the services answer in the guest's network. The first one is the metadata service proper. */
  readonly endpoints: readonly [MetadataEndpoint, ...MetadataEndpoint[]]
  /** Names that the cloud's DNS resolves to the first endpoint. */
  readonly dnsNames: readonly string[]
  readonly dhcp: DhcpFacts
  /** The card has the instance's public address itself; others translate it to a private one. */
  readonly hasPublicAddressOnCard?: true
  /** Request headers, in lower case, whose values are secrets: a transcript keeps only a digest of them. */
  readonly secretHeaders: readonly string[]
  /** A whole instance: deterministic defaults, the caller's wishes, and what follows from both. */
  instance(overrides?: Overrides<I>): I
  smbios(instance: I): CloudSmbios
  /** User data as systemd looks for it, where that is not the `userData` of the instance. */
  readonly systemdUserData?: {
    /** The wishes that put it there. */
    give(userData: Uint8Array): Overrides<I>
    take(instance: I): Uint8Array | undefined
  }
  answer(request: MetadataRequest, instance: I, nowMs: number, setting: Setting): Answer<I>
}

/** What answers depend on besides request, instance and time. */
export interface Setting {
  readonly signer: Signer
  /**
   * Whether values are also served where systemd's hwdb looks for them, for those records that name paths which the
   * cloud itself has not got.
   */
  readonly hasHwdbPaths: boolean
  /** What the answer to this request remembered when it said {@link Hold}; undefined at first. */
  readonly held: string | undefined
}

/** What the cloud's DHCP server says besides address, gateway and DNS. */
export interface DhcpFacts {
  /** By number (IANA, BOOTP vendor extensions and DHCP options); a value of dotted quads goes out as addresses. */
  readonly options: readonly { readonly code: number; readonly value: string }[]
  /** Addresses that option 121 (RFC 3442) sends to the gateway, besides the default route. */
  readonly hostRoutes: readonly string[]
  /** The gateway, where it is none of the subnet's. */
  readonly router?: string
}

export const PLAIN_DHCP: DhcpFacts = { options: [], hostRoutes: [] }

/** Real addresses: only ever listened on inside a network namespace made for a run. */
export interface MetadataEndpoint {
  readonly name: string
  readonly ipv4: string | undefined
  /** May be link-local: then it is the address on the link of the guest's first card. */
  readonly ipv6: string | undefined
  readonly port: number
}

/** Names of well-known fields as systemd's command line spells them. */
export type WellKnownField =
  | 'hostname'
  | 'region'
  | 'zone'
  | 'ipv4-public'
  | 'ipv6-public'
  | 'ssh-key'
  | 'userdata'
  | 'userdata-base'
  | 'userdata-base64'

/** One record of systemd's `40-imds.hwdb`. */
export interface HwdbEntry {
  /** `IMDS_VENDOR`: what systemd calls the cloud. */
  readonly vendor: string
  /** The match line, a glob over the DMI modalias. */
  readonly match: string
  readonly dataUrl: string
  readonly dataUrlSuffix?: string
  readonly tokenUrl?: string
  /** The header that asks for a lifetime of the token, in seconds. */
  readonly refreshHeaderName?: string
  readonly tokenHeaderName?: string
  readonly extraHeaders?: readonly string[]
  readonly addressIpv4?: string
  readonly addressIpv6?: string
  /** Paths below `dataUrl`. */
  readonly wellKnown: Readonly<Partial<Record<WellKnownField, string>>>
}

/** Header lines in the order of the wire, names as they were written. */
export type HeaderLines = readonly (readonly [name: string, value: string])[]

export interface Peer {
  readonly address: string
  readonly port: number
}

/** A complete request as plain data. */
export interface MetadataRequest {
  readonly method: string
  /** As on the wire, still percent-encoded, without the query. */
  readonly path: string
  /** What follows the first `?`, still encoded; empty without one. */
  readonly query: string
  readonly headers: HeaderLines
  readonly body: Uint8Array
  /** Name of the endpoint it came in at. */
  readonly endpoint: string
  /** Some clouds trust only source ports below 1024. */
  readonly peer: Peer
  /** The address that it was sent to. */
  readonly local: Peer
  readonly arrivedAtMs: number
}

export interface MetadataResponse<I extends Instance = Instance> {
  readonly status: number
  readonly headers: HeaderLines
  readonly body: Uint8Array
  /** IP time-to-live of the packets that must carry it; absent where the cloud does not care. */
  readonly hopLimit?: number
  /** The instance after this request, where the request changed it. */
  readonly next?: I
}

/** Not yet: ask again when the instance has changed or the time has come, whichever is first. */
export interface Hold {
  readonly holdUntilMs: number
  /** Comes back in {@link Setting.held} when the provider is asked again. */
  readonly remember?: string
}

export type Answer<I extends Instance = Instance> = MetadataResponse<I> | Hold

/** What systemd in the instance takes for its user data; nothing in clouds that its hwdb does not know. */
export function userDataForSystemd<I extends Instance>(provider: Provider<I>, instance: I): Uint8Array | undefined {
  if (provider.hwdb === undefined) return undefined
  return provider.systemdUserData === undefined ? instance.userData : provider.systemdUserData.take(instance)
}

/** The value of a header whatever its case; several lines of one name are joined as HTTP does (RFC 9110, 5.3). */
export function headerValue(headers: HeaderLines, name: string): string | undefined {
  const wanted = name.toLowerCase()
  const values = headers.filter(([other]) => other.toLowerCase() === wanted).map(([, value]) => value)
  return values.length === 0 ? undefined : values.join(', ')
}
