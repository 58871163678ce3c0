import { unknownName } from '../system/index.ts'
import { akamai } from './akamai.ts'
import { alibaba } from './alibaba.ts'
import { aws } from './aws.ts'
import { azure } from './azure.ts'
import { digitalocean } from './digitalocean.ts'
import { exoscale } from './exoscale.ts'
import { google } from './google.ts'
import { hetzner } from './hetzner.ts'
import { openstack } from './openstack.ts'
import { oracle } from './oracle.ts'
import type { Provider } from './provider.ts'
import { scaleway } from './scaleway.ts'
import { tencent } from './tencent.ts'
import { upcloud } from './upcloud.ts'
import { vultr } from './vultr.ts'

const PROVIDERS: readonly Provider[] = [
  akamai,
  alibaba,
  aws,
  azure,
  digitalocean,
  exoscale,
  google,
  hetzner,
  openstack,
  oracle,
  scaleway,
  tencent,
  upcloud,
  vultr,
]

/** Every cloud there is, by the name it has on the command line. */
export const clouds: ReadonlyMap<string, Provider> = new Map<string, Provider>(
  PROVIDERS.map((provider) => [provider.name, provider]),
)

/** Rejects a name that is none, with the list of those that are. */
export function cloudNamed(name: string): Provider {
  const cloud = clouds.get(name)
  if (cloud === undefined) throw unknownName('cloud', name, [...clouds.keys()])
  return cloud
}
