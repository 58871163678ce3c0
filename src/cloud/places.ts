import { isIPv4 } from 'node:net'
import { BootwrightError } from '../system/index.ts'
import type { MetadataEndpoint, Provider } from './provider.ts'

/** The same cloud, reached by IPv6 alone. Throws `INVALID_ARGUMENT` for one whose first endpoint has no IPv6. */
export function overIpv6Only(provider: Provider): Provider {
  const endpoints = provider.endpoints.flatMap((endpoint) =>
    endpoint.ipv6 === undefined ? [] : [{ ...endpoint, ipv4: undefined }],
  )
  const [first, ...others] = endpoints
  if (provider.endpoints[0].ipv6 === undefined || first === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `${provider.title} has no metadata service over IPv6`, {
      hint: '`./bootwright imds clouds` shows the addresses of all clouds.',
    })
  }
  return { ...provider, endpoints: [first, ...others] }
}

/** The same cloud, whose metadata service is at another address of IPv4 than everybody knows; names lead there. */
export function movedTo(provider: Provider, ipv4: string): Provider {
  if (!isIPv4(ipv4)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected an IPv4 address to move to, found "${ipv4}"`)
  }
  const [first, ...others] = provider.endpoints
  const moved: MetadataEndpoint = { ...first, ipv4, ipv6: undefined }
  return { ...provider, endpoints: [moved, ...others] }
}
