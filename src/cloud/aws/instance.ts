import { createHash } from 'node:crypto'
import type { Instance, Overrides } from '../instance.ts'
import { completeInstance, type InstanceRules, NOBODYS_KEY, primaryInterface, type Refuse } from '../instance-parts.ts'

/** Spelled as EC2's ModifyInstanceMetadataOptions does. */
export interface AwsMetadataOptions {
  /** `required` refuses requests without a token (IMDSv2 only); `optional` also serves IMDSv1. */
  readonly httpTokens: 'optional' | 'required'
  readonly httpEndpoint: 'enabled' | 'disabled'
  /** IP time-to-live of the packets that carry a token: 1 keeps it from anything behind one more router. */
  readonly httpPutResponseHopLimit: number
  readonly instanceMetadataTags: 'enabled' | 'disabled'
}

export interface AwsScheduledEvent {
  readonly code: 'instance-reboot' | 'system-reboot' | 'system-maintenance' | 'instance-retirement' | 'instance-stop'
  readonly eventId: string
  readonly description: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly state: 'active' | 'completed' | 'canceled'
}

/** An EC2 instance: the common facts, and those that only EC2 has. */
export interface AwsInstance extends Instance {
  readonly metadataOptions: AwsMetadataOptions
  /** Raise it to make every token that is out invalid at once. */
  readonly tokenGeneration: number
  readonly accountId: string
  readonly architecture: 'x86_64' | 'arm64'
  readonly zoneId: string
  readonly reservationId: string
  readonly vpcId: string
  readonly vpcIpv4Cidr: string
  readonly subnetId: string
  readonly securityGroups: readonly { readonly id: string; readonly name: string }[]
  /** Name of the role whose (fake) credentials are offered; undefined without an instance profile. */
  readonly role: string | undefined
  readonly lifeCycle: 'on-demand' | 'spot' | 'scheduled'
  /** Set about two minutes before a spot instance goes away. */
  readonly spotInterruption: { readonly action: 'terminate' | 'stop' | 'hibernate'; readonly atMs: number } | undefined
  readonly rebalanceNoticeAtMs: number | undefined
  readonly scheduledEvents: readonly AwsScheduledEvent[]
  /** Set by an Auto Scaling group, e.g. `InService`. */
  readonly targetLifecycleState: string | undefined
}

/** EC2 refuses larger user data (16 KiB, before base64). */
export const MAX_USER_DATA_BYTES = 16_384

const RULES: InstanceRules = {
  id: { pattern: /^i-([0-9a-f]{8}|[0-9a-f]{17})$/, words: 'i- and 8 or 17 hexadecimal digits' },
  maxUserDataBytes: MAX_USER_DATA_BYTES,
}

const METADATA_OPTIONS: AwsMetadataOptions = {
  httpTokens: 'required',
  httpEndpoint: 'enabled',
  httpPutResponseHopLimit: 1,
  instanceMetadataTags: 'disabled',
}

/**
 * A whole EC2 instance. Region leads to zone, addresses and region lead to the host name.
 * Throws `INVALID_ARGUMENT` for what EC2 would not start.
 */
export function awsInstance(overrides: Overrides<AwsInstance> = {}): AwsInstance {
  const region = overrides.region ?? 'eu-central-1'
  const interfaces = overrides.interfaces ?? [primaryInterface('06:b0:07:00:00:01')]
  const defaults: AwsInstance = {
    cloud: 'aws',
    id: 'i-0b007b007b007b007',
    type: 'm5.large',
    image: 'ami-0b007b007b007b007',
    hostname: privateDnsName(interfaces.at(0)?.ipv4 ?? '', region),
    region,
    zone: `${region}a`,
    zoneId: zoneIdPrefix(region),
    interfaces,
    sshKeys: [{ name: 'bootwright', openssh: NOBODYS_KEY }],
    tags: { Name: 'bootwright' },
    userData: undefined,
    startedAtMs: Date.UTC(2026, 0, 1),
    metadataOptions: METADATA_OPTIONS,
    tokenGeneration: 0,
    accountId: '123456789012',
    architecture: 'x86_64',
    reservationId: 'r-0b007b007b007b007',
    vpcId: 'vpc-0b007b007b007b007',
    vpcIpv4Cidr: '172.31.0.0/16',
    subnetId: 'subnet-0b007b007b007b007',
    securityGroups: [{ id: 'sg-0b007b007b007b007', name: 'default' }],
    role: 'bootwright-fake-role',
    lifeCycle: 'on-demand',
    spotInterruption: undefined,
    rebalanceNoticeAtMs: undefined,
    scheduledEvents: [],
    targetLifecycleState: undefined,
  }
  return completeInstance('An EC2 instance', defaults, overrides, RULES, check)
}

/** `ip-10-0-0-1.ec2.internal` in the oldest region, with the region's name in all others. */
export function privateDnsName(ipv4: string, region: string): string {
  const domain = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`
  return `ip-${ipv4.replaceAll('.', '-')}.${domain}`
}

export function publicDnsName(ipv4: string, region: string): string {
  const domain = region === 'us-east-1' ? 'compute-1' : `${region}.compute`
  return `ec2-${ipv4.replaceAll('.', '-')}.${domain}.${servicesDomain(region)}`
}

export function servicesDomain(region: string): string {
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
}

export function partition(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}

/** An identifier in EC2's long format (17 hexadecimal digits), always the same for the same seed. */
export function derivedId(prefix: string, seed: string): string {
  return `${prefix}-${createHash('sha256').update(seed).digest('hex').slice(0, 17)}`
}

/** `eu-central-1` has zones `euc1-az1`, …; which letter is which differs by account. */
function zoneIdPrefix(region: string): string {
  const [area = '', ...rest] = region.split('-')
  const short = rest.map((part) => part.replace(/^(north|south)?(east|west|central)?.*/, directionLetters))
  return `${area}${short.join('')}-az1`
}

function directionLetters(whole: string, first?: string, second?: string): string {
  return `${first?.[0] ?? ''}${second?.[0] ?? ''}` || whole
}

function check(instance: AwsInstance, refuse: Refuse): void {
  const { metadataOptions } = instance
  const hops = metadataOptions.httpPutResponseHopLimit
  if (!Number.isInteger(hops) || hops < 1 || hops > 64) {
    refuse(`a hop limit from 1 to 64, found ${hops}`)
  }
  if (instance.role !== undefined && !/^[\w+=,.@-]{1,64}$/.test(instance.role)) {
    refuse(`a role name of letters, digits and +=,.@_-, found "${instance.role}"`)
  }
  // Only tags that are offered as paths are restricted.
  const tags = metadataOptions.instanceMetadataTags === 'enabled' ? Object.keys(instance.tags) : []
  for (const tag of tags) {
    if (!/^[A-Za-z0-9+\-=.,_:@]{1,128}$/.test(tag) || /^(\.\.?|_index)$/.test(tag)) {
      refuse(`tag keys of letters, digits and +-=.,_:@ where the metadata offers them, found "${tag}"`)
    }
  }
}
