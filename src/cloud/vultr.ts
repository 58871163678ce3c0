import { refuseWrites, respond, treeAnswer } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import {
  commonInstance,
  completeInstance,
  derivedUuid,
  ipv4Subnet,
  NUMBER,
  type Refuse,
  UUID,
  userDataText,
} from './instance-parts.ts'
import { type JsonObject, textTree } from './json.ts'
import { decodePath } from './path.ts'
import {
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  PLAIN_DHCP,
  type Provider,
  type Setting,
} from './provider.ts'
import { oncePerState } from './tree.ts'

const IPV4 = '169.254.169.254'
const TEXT = 'text/plain; charset=utf-8'
/** Not a token: cloud-init says with it who it is, and wants user data as one text. */
const TOKEN_HEADER = 'Metadata-Token'

/** An instance of Vultr. `id` is the subscription's number, which SMBIOS has as well. */
export interface VultrInstance extends Instance {
  /** The newer identifier. */
  readonly v2Id: string
  readonly countryCode: string
  readonly startupScript: string
  /** Configuration of the cloud's own, beneath that of the user. */
  readonly vendorData: string
}

/** Vultr. */
export const vultr = {
  name: 'vultr',
  title: 'Vultr',
  hwdb: {
    vendor: 'vultr',
    match: 'dmi:bvnVultr:*',
    dataUrl: `http://${IPV4}`,
    addressIpv4: IPV4,
    wellKnown: {
      hostname: '/v1/hostname',
      region: '/v1/region/regioncode',
      'ipv4-public': '/v1/interfaces/0/ipv4/address',
      'ipv6-public': '/v1/interfaces/0/ipv6/address',
      'ssh-key': '/v1/public-keys',
      userdata: '/user-data/user-data',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: vultrInstance,
  smbios: ({ id, v2Id }: VultrInstance) => ({
    bios: { vendor: 'Vultr', version: 'VC2', releaseDate: '01/01/2026' },
    system: { manufacturer: 'Vultr', productName: 'VC2', serialNumber: id, uuid: v2Id },
    chassis: { manufacturer: 'Vultr' },
  }),
  answer,
} satisfies Provider<VultrInstance>

/** A whole instance. Vultr has no zones: `zone` is the region. */
export function vultrInstance(overrides: Overrides<VultrInstance> = {}): VultrInstance {
  const region = overrides.region ?? 'FRA'
  const defaults: VultrInstance = {
    ...commonInstance({
      cloud: 'vultr',
      id: '70070070',
      type: 'vc2-1c-1gb',
      image: 'bootwright',
      hostname: 'bootwright',
      region,
      zone: region,
      mac: '56:00:02:b0:07:01',
    }),
    v2Id: derivedUuid('vultr instance'),
    countryCode: 'DE',
    startupScript: '',
    vendorData: '',
  }
  const rules = { id: NUMBER, maxUserDataBytes: 65_535, userDataIsText: true }
  return completeInstance('An instance of Vultr', defaults, overrides, rules, check)
}

function check({ region, zone, v2Id, tags }: VultrInstance, refuse: Refuse): void {
  if (zone !== region) refuse(`no zone besides its region ${region}, found "${zone}"`)
  if (!UUID.pattern.test(v2Id)) refuse(`${UUID.words} as v2Id, found "${v2Id}"`)
  for (const tag of Object.keys(tags)) if (/\p{Cc}/u.test(tag)) refuse(`printable tags, found ${JSON.stringify(tag)}`)
}

function answer(
  request: MetadataRequest,
  instance: VultrInstance,
  nowMs: number,
  { hasHwdbPaths, signer }: Setting,
): MetadataResponse<VultrInstance> {
  const refusal = refuseWrites(request, TEXT, 'Method Not Allowed')
  if (refusal !== undefined) return refusal
  const names = decodePath(request.path)
  if (names === undefined) return respond(404, TEXT, 'Not Found')
  const path = names.join('/')
  if (path === 'v1.json') {
    const isCloudInit = headerValue(request.headers, TOKEN_HEADER) === 'cloudinit'
    const whole = { ...document(instance), ...(isCloudInit ? { 'user-data': userDataText(instance) } : {}) }
    return respond(200, 'application/json', JSON.stringify(whole))
  }
  if (path === 'latest/user-data' || (hasHwdbPaths && path === 'user-data/user-data')) return userData(instance)
  if (names[0] !== 'v1') return respond(404, TEXT, 'Not Found')
  return treeAnswer(treeOf(instance), names.slice(1), nowMs, signer, TEXT) ?? respond(404, TEXT, 'Not Found')
}

const treeOf = oncePerState((instance: VultrInstance) =>
  textTree(document(instance), {
    isLines: ([name, more]) => more === undefined && (name === 'public-keys' || name === 'user-data'),
  }),
)

function userData(instance: VultrInstance): MetadataResponse<VultrInstance> {
  return instance.userData === undefined ? respond(404, TEXT, 'Not Found') : respond(200, TEXT, instance.userData)
}

function document(instance: VultrInstance): JsonObject {
  const { hostname, id, v2Id, userData } = instance
  const asn = { 'my-address': '', 'my-asn': '', 'peer-address': '', 'peer-asn': '' }
  return {
    bgp: { ipv4: asn, ipv6: asn },
    hostname,
    'instance-id': id,
    'instance-v2-id': v2Id,
    instanceid: id,
    interfaces: instance.interfaces.map((nic, index) => networkInterface(nic, index)),
    'local-hostname': hostname,
    'public-keys': instance.sshKeys.map(({ openssh }) => openssh),
    'raid1-script': '',
    region: { countrycode: instance.countryCode, regioncode: instance.region },
    'startup-script': instance.startupScript,
    tags: Object.keys(instance.tags),
    'user-data': userData === undefined ? [] : userDataText(instance).split('\n'),
    'user-defined': [],
    'vendor-data': instance.vendorData,
  }
}

/** The first interface has the public addresses, further ones are private networks. */
function networkInterface(nic: NetworkInterface, index: number): JsonObject {
  const { gateway, netmask } = ipv4Subnet(nic.ipv4Subnet)
  const [address = ''] = nic.ipv6
  const [network = '', prefix = ''] = address === '' ? [] : (nic.ipv6Subnet ?? '').split('/')
  const isPublic = index === 0
  return {
    ipv4: { additional: [], address: (isPublic ? nic.publicIpv4 : undefined) ?? nic.ipv4, gateway, netmask },
    // cloud-init looks into it though there may be no address.
    ipv6: { additional: [], address, network, prefix },
    mac: nic.mac,
    ...(isPublic ? {} : { 'network-v2-id': derivedUuid(`vultr network ${nic.mac}`), networkid: `net${index}` }),
    'network-type': isPublic ? 'public' : 'private',
  }
}
