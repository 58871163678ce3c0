import {
  type AkamaiInstance,
  type AlibabaInstance,
  type AwsInstance,
  type AzureInstance,
  cloudNamed,
  type DigitalOceanInstance,
  type ExoscaleInstance,
  type GoogleInstance,
  type HetznerInstance,
  type Instance,
  movedTo,
  type OpenStackInstance,
  type OracleInstance,
  type Overrides,
  overIpv6Only,
  type Provider,
  type ScalewayInstance,
  type TencentInstance,
  type UpCloudInstance,
  type VultrInstance,
} from '../cloud/index.ts'
import { instanceIn, macAddressIn } from '../scene/index.ts'

/** A cloud with an instance in it, as data. */
export interface CloudDescription {
  readonly cloud: string
  readonly overrides: Overrides<Instance>
  /** Where the metadata service is, when it is not where the cloud has it: over IPv6 alone, or at another address. */
  readonly metadataAt?: 'ipv6-only' | { readonly ipv4: string }
}

/** User data as text or bytes; the rest as in the cloud's own instance. */
export type CloudOptions<I extends Instance = Instance> = Omit<Overrides<I>, 'userData' | 'interfaces'> & {
  readonly userData?: string | Uint8Array
}

/** Describes an instance of a cloud, with what the test wants different about it. */
export type DescribeCloud<I extends Instance> = (options?: CloudOptions<I>) => CloudDescription

/**
 * Amazon EC2.
 *
 * @example await boot('cloud', { cloud: aws({ userData: '{}', hostname: 'web-1' }) })
 */
export const aws = described<AwsInstance>('aws')
/** Microsoft Azure. */
export const azure = described<AzureInstance>('azure')
/** Google Compute Engine. systemd reads its user data from the attribute `systemd-userdata`. */
export const google = described<GoogleInstance>('google')
/** Hetzner Cloud. */
export const hetzner = described<HetznerInstance>('hetzner')
/** Oracle Cloud Infrastructure. */
export const oracle = described<OracleInstance>('oracle')
/** Scaleway. */
export const scaleway = described<ScalewayInstance>('scaleway')
/** Alibaba Cloud ECS. */
export const alibaba = described<AlibabaInstance>('alibaba')
/** Tencent Cloud CVM. */
export const tencent = described<TencentInstance>('tencent')
/** Vultr. */
export const vultr = described<VultrInstance>('vultr')
/** DigitalOcean. */
export const digitalocean = described<DigitalOceanInstance>('digitalocean')
/** Akamai Connected Cloud (Linode). */
export const akamai = described<AkamaiInstance>('akamai')
/** Exoscale. */
export const exoscale = described<ExoscaleInstance>('exoscale')
/** UpCloud. */
export const upcloud = described<UpCloudInstance>('upcloud')
/** OpenStack. */
export const openstack = described<OpenStackInstance>('openstack')

/**
 * The same cloud with its metadata service elsewhere.
 *
 * @example await boot('cloud', { cloud: withMetadataAt(aws(), 'ipv6-only') })
 */
export function withMetadataAt(
  description: CloudDescription,
  metadataAt: NonNullable<CloudDescription['metadataAt']>,
): CloudDescription {
  return { ...description, metadataAt }
}

function described<I extends Instance>(cloud: string): DescribeCloud<I> {
  return (options = {} as CloudOptions<I>) => {
    const { userData, ...rest } = options
    const overrides = userData === undefined ? rest : { ...rest, userData: Buffer.from(userData) }
    return { cloud, overrides: overrides as Overrides<Instance> }
  }
}

/** The provider and the instance that are meant; rejects a name that is none with the list of those that are. */
export function describedInstance(description: string | CloudDescription): { provider: Provider; instance: Instance } {
  const { cloud, overrides, metadataAt }: CloudDescription =
    typeof description === 'string' ? { cloud: description, overrides: {} } : description
  const real = cloudNamed(cloud)
  const provider =
    metadataAt === undefined ? real : metadataAt === 'ipv6-only' ? overIpv6Only(real) : movedTo(real, metadataAt.ipv4)
  return { provider, instance: instanceIn(provider, macAddressIn(provider), overrides) }
}
