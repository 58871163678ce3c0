import { isIPv4, isIPv6 } from 'node:net'
import { CONFIGURABLE } from '../well-known.ts'
import { type Endpoint, gatherEndpoint, isUsable, type UsableEndpoint } from './endpoint.ts'
import { kernelItems } from './kernel-command-line.ts'
import { parseNetworkMode } from './network-mode.ts'

/** Numbered headers go up to this; udev has one more. */
const MAX_EXTRA_HEADERS = 63

/** What the places say where an endpoint can be configured; undefined where there is nothing to read. */
export interface EndpointSources {
  readonly commandLine: Endpoint | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly kernelCommandLine: string
  readonly isInitrd: boolean
  /** Content of a credential. */
  credential(name: string): string | undefined
  /** Properties of the device `/sys/class/dmi/id`. */
  readonly udevProperties: ReadonlyMap<string, string>
  /** Whether to read as systemd 262 does where that is a fault. */
  readonly compat: boolean
}

/**
 * The endpoint of the first source that has any of it: of the command line, the environment, the kernel command line, the
 * credentials and udev. Nothing is put together from two. Undefined when it cannot be asked.
 */
export function chooseEndpoint(sources: EndpointSources): UsableEndpoint | undefined {
  const { commandLine } = sources
  const isCommandLineSet = commandLine !== undefined && hasOwnFields(commandLine)
  const endpoint = isCommandLineSet
    ? commandLine
    : (ofEnvironment(sources.environment) ??
      ofKernelCommandLine(sources.kernelCommandLine, sources) ??
      ofCredentials(sources.credential) ??
      ofUdev(sources.udevProperties))
  return isUsable(endpoint) ? withValidAddresses(endpoint) : undefined
}

/** Addresses and paths alone do not make a command line the source. */
function hasOwnFields({ addressIPv4: _4, addressIPv6: _6, wellKnown: _, ...rest }: Endpoint): boolean {
  return Object.keys(rest).length > 0
}

function ofEnvironment(environment: EndpointSources['environment']): Endpoint | undefined {
  const read = (name: string): string | undefined => environment[`SYSTEMD_IMDS_${name.toUpperCase()}`]
  return gatherEndpoint({
    text: read,
    extraHeader: numbered(read, MAX_EXTRA_HEADERS, 'stop'),
    wellKnown: (name) => read(`key_${name}`),
    fields: CONFIGURABLE,
  })
}

function ofKernelCommandLine(
  commandLine: string,
  { isInitrd, compat }: Pick<EndpointSources, 'isInitrd' | 'compat'>,
): Endpoint | undefined {
  const values = new Map<string, string>()
  let extraHeader: string[] = []
  for (const { key, value } of kernelItems(commandLine, { isInitrd })) {
    const field = /^systemd\.imds\.(.+)$/.exec(key)?.[1]
    if (field === undefined || value === undefined) continue
    // There, one word that is not understood ends the reading.
    if (field === 'network' && parseNetworkMode(value) === undefined && compat) break
    if (field !== 'extra_header') values.set(field, value)
    else if (value === '') extraHeader = []
    else extraHeader.push(value)
  }
  return gatherEndpoint({
    text: (field) => values.get(field),
    extraHeader,
    wellKnown: (name) => values.get(`key.${name}`),
    fields: CONFIGURABLE,
  })
}

function ofCredentials(credential: EndpointSources['credential']): Endpoint | undefined {
  const read = (name: string): string | undefined => credential(`imds.${name}`)
  return gatherEndpoint({
    // This one has another name than everywhere else.
    text: (field) => read(field === 'token_url' ? 'vendor_token' : field),
    extraHeader: numbered(read, MAX_EXTRA_HEADERS, 'skip'),
    wellKnown: (name) => read(`key_${name}`),
    fields: CONFIGURABLE,
  })
}

function ofUdev(properties: ReadonlyMap<string, string>): Endpoint | undefined {
  if (!properties.has('IMDS_VENDOR')) return undefined
  const read = (name: string): string | undefined => properties.get(`IMDS_${name.toUpperCase()}`)
  return gatherEndpoint({
    text: read,
    extraHeader: numbered(read, MAX_EXTRA_HEADERS + 1, 'stop'),
    wellKnown: (name) => read(`key_${name}`),
    fields: CONFIGURABLE,
  })
}

/** `extra_header`, `extra_header2`, and so on. */
function numbered(read: (name: string) => string | undefined, last: number, atGap: 'stop' | 'skip'): string[] {
  const values: string[] = []
  for (let number = 1; number <= last; number++) {
    const value = read(`extra_header${number === 1 ? '' : number}`)
    if (value !== undefined) values.push(value)
    else if (atGap === 'stop') break
  }
  return values
}

/** Only for what the host is told: an address that is none is as good as no address. */
function withValidAddresses(endpoint: UsableEndpoint): UsableEndpoint {
  const { addressIPv4, addressIPv6, ...rest } = endpoint
  return {
    ...rest,
    ...(addressIPv4 !== undefined && isIPv4(addressIPv4) && { addressIPv4 }),
    ...(addressIPv6 !== undefined && isIPv6(addressIPv6) && { addressIPv6 }),
  }
}
