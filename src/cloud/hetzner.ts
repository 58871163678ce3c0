import { refuseWrites, respond } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedUuid, ipv4Subnet, NUMBER } from './instance-parts.ts'
import type { Json, JsonObject } from './json.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider, type Setting } from './provider.ts'
import { yaml } from './yaml.ts'

const IPV4 = '169.254.169.254'
const BASE = '/hetzner/v1'
const TEXT = 'text/plain; charset=utf-8'
const YAML = 'text/yaml; charset=utf-8'

/** A server of Hetzner Cloud. Interfaces after the first are its private networks. */
export interface HetznerInstance extends Instance {
  /** Configuration of the cloud's own, beneath that of the user. */
  readonly vendorData: string
}

/** Hetzner Cloud. */
export const hetzner = {
  name: 'hetzner',
  title: 'Hetzner Cloud',
  hwdb: {
    vendor: 'hetzner-cloud',
    match: 'dmi:bvnHetzner:*',
    dataUrl: `http://${IPV4}${BASE}/metadata`,
    addressIpv4: IPV4,
    wellKnown: {
      hostname: '/hostname',
      region: '/region',
      zone: '/availability-zone',
      'ipv4-public': '/public-ipv4',
      'ssh-key': '/public-keys/0',
      userdata: '/userdata',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: 'fe80::a9fe:a9fe', port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: hetznerInstance,
  // cloud-init refuses an instance whose serial number is not its identifier.
  smbios: ({ id }: HetznerInstance) => ({
    bios: { vendor: 'Hetzner', version: '20171111', releaseDate: '11/11/2017' },
    system: { manufacturer: 'Hetzner', productName: 'vServer', serialNumber: id, uuid: derivedUuid(`hetzner ${id}`) },
    chassis: { manufacturer: 'Hetzner' },
  }),
  answer,
} satisfies Provider<HetznerInstance>

/** A whole server. Zone leads to region. */
export function hetznerInstance(overrides: Overrides<HetznerInstance> = {}): HetznerInstance {
  const zone = overrides.zone ?? 'fsn1-dc14'
  const defaults: HetznerInstance = {
    ...commonInstance({
      cloud: 'hetzner',
      id: '70070070',
      type: 'cx22',
      image: 'bootwright',
      hostname: 'bootwright',
      region: /^(ash|hil)/.test(zone) ? `us-${zone.startsWith('ash') ? 'east' : 'west'}` : 'eu-central',
      zone,
      mac: '96:00:02:b0:07:01',
    }),
    vendorData: '#cloud-config\n{}\n',
  }
  const rules = { id: NUMBER, maxUserDataBytes: 32_768, maxInterfaces: 4 }
  return completeInstance('A server of Hetzner Cloud', defaults, overrides, rules)
}

function answer(
  request: MetadataRequest,
  instance: HetznerInstance,
  _nowMs: number,
  { hasHwdbPaths }: Setting,
): MetadataResponse<HetznerInstance> {
  const refusal = refuseWrites(request, TEXT, 'Method Not Allowed\n')
  if (refusal !== undefined) return refusal
  const path = request.path.replace(/\/$/, '')
  if (path === `${BASE}/userdata`) return userData(instance)
  if (path === `${BASE}/metadata`) return respond(200, YAML, yaml(metadata(instance)))
  const name = path.startsWith(`${BASE}/metadata/`) ? path.slice(`${BASE}/metadata/`.length) : ''
  if (hasHwdbPaths) {
    if (name === 'userdata') return userData(instance)
    const key = /^public-keys\/(\d{1,4})$/.exec(name)?.[1]
    const openssh = key === undefined ? undefined : instance.sshKeys[Number(key)]?.openssh
    if (openssh !== undefined) return respond(200, TEXT, openssh)
  }
  return value(name, instance) ?? respond(404, TEXT, '404 page not found\n')
}

/** Nothing is no content, not an absent file. */
function userData({ userData }: HetznerInstance): MetadataResponse<HetznerInstance> {
  if (userData === undefined) return { status: 204, headers: [], body: new Uint8Array() }
  return respond(200, TEXT, userData)
}

function value(name: string, instance: HetznerInstance): MetadataResponse<HetznerInstance> | undefined {
  const [nic] = instance.interfaces
  switch (name) {
    case 'hostname':
    case 'region':
      return respond(200, TEXT, instance[name])
    case 'instance-id':
      return respond(200, TEXT, instance.id)
    case 'availability-zone':
      return respond(200, TEXT, instance.zone)
    case 'local-ipv4':
      return respond(200, TEXT, nic.ipv4)
    case 'public-ipv4':
      return respond(200, TEXT, nic.publicIpv4 ?? '')
    case 'public-keys':
      return respond(200, TEXT, JSON.stringify(instance.sshKeys.map(({ openssh }) => openssh)))
    case 'network-config':
      return respond(200, YAML, yaml(networkConfig(instance)))
    case 'private-networks':
      return respond(200, YAML, yaml(privateNetworks(instance)))
    default:
      return undefined
  }
}

function metadata(instance: HetznerInstance): JsonObject {
  const [nic] = instance.interfaces
  return {
    'availability-zone': instance.zone,
    hostname: instance.hostname,
    'instance-id': Number(instance.id),
    'local-ipv4': nic.ipv4,
    'network-config': networkConfig(instance),
    'network-sysconfig': '',
    'public-ipv4': nic.publicIpv4 ?? '',
    'public-keys': instance.sshKeys.map(({ openssh }) => openssh),
    region: instance.region,
    vendor_data: instance.vendorData,
  }
}

/** Network configuration version 1 of cloud-init for the public interface. */
function networkConfig({ interfaces: [nic] }: HetznerInstance): JsonObject {
  const [ipv6] = nic.ipv6
  const length = nic.ipv6Subnet?.split('/')[1] ?? '64'
  const subnets: Json[] = [{ ipv4: true, type: 'dhcp' }]
  if (ipv6 !== undefined) {
    subnets.push({
      address: `${ipv6}/${length}`,
      dns_nameservers: ['2a01:4ff:ff00::add:2'],
      gateway: 'fe80::1',
      ipv6: true,
      type: 'static',
    })
  }
  return { config: [{ mac_address: nic.mac, name: 'eth0', subnets, type: 'physical' }], version: 1 }
}

function privateNetworks({ id, interfaces }: HetznerInstance): Json {
  return interfaces.slice(1).map((nic: NetworkInterface, index): JsonObject => {
    const { gateway } = ipv4Subnet(nic.ipv4Subnet)
    return {
      ip: nic.ipv4,
      alias_ips: [],
      interface_num: index + 2,
      mac_address: nic.mac,
      network_id: Number(id) + index + 1,
      network_name: `private-${index + 1}`,
      network: nic.ipv4Subnet,
      subnet: nic.ipv4Subnet,
      gateway,
    }
  })
}
