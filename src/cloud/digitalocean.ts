import { refuseWrites, respond } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import {
  commonInstance,
  completeInstance,
  derivedUuid,
  ipv4Subnet,
  NUMBER,
  type Refuse,
  userDataText,
} from './instance-parts.ts'
import { isObject, type Json, type JsonObject, members, scalarText } from './json.ts'
import { decodePath, slashedLocation } from './path.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider } from './provider.ts'

const IPV4 = '169.254.169.254'
const BASE = '/metadata/v1'
const TEXT = 'text/plain; charset=utf-8'

/** A droplet of DigitalOcean. */
export interface DigitalOceanInstance extends Instance {
  readonly vendorData: string
  readonly authKey: string
  /** An address that leads to the droplet for now. */
  readonly reservedIpv4: string | undefined
  /** What the agents are to do. */
  readonly features: Readonly<Record<string, boolean>>
}

/** DigitalOcean, which systemd's hwdb does not know. */
export const digitalocean = {
  name: 'digitalocean',
  title: 'DigitalOcean',
  hwdb: undefined,
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: digitaloceanInstance,
  smbios: ({ id }: DigitalOceanInstance) => ({
    bios: { vendor: 'DigitalOcean', version: '20171212', releaseDate: '12/12/2017' },
    system: {
      manufacturer: 'DigitalOcean',
      productName: 'Droplet',
      version: '20171212',
      serialNumber: id,
      uuid: derivedUuid(`droplet ${id}`),
      family: 'DigitalOcean_Droplet',
    },
    baseboard: { manufacturer: 'DigitalOcean', product: 'Droplet' },
    chassis: { manufacturer: 'DigitalOcean' },
  }),
  answer,
} satisfies Provider<DigitalOceanInstance>

/** A whole droplet. DigitalOcean has no zones: `zone` is the region. */
export function digitaloceanInstance(overrides: Overrides<DigitalOceanInstance> = {}): DigitalOceanInstance {
  const region = overrides.region ?? 'fra1'
  const defaults: DigitalOceanInstance = {
    ...commonInstance({
      cloud: 'digitalocean',
      id: '70070070',
      type: 's-1vcpu-1gb',
      image: 'bootwright',
      hostname: 'bootwright',
      region,
      zone: region,
      mac: '04:01:2a:b0:07:01',
    }),
    tags: { bootwright: '' },
    vendorData: '#cloud-config\n{}\n',
    authKey: 'bootwright-fake-auth-key',
    reservedIpv4: undefined,
    features: { dhcp_enabled: true },
  }
  const rules = { id: NUMBER, maxUserDataBytes: 65_536, userDataIsText: true }
  return completeInstance('A droplet', defaults, overrides, rules, check)
}

function check({ region, zone, tags, features }: DigitalOceanInstance, refuse: Refuse): void {
  if (zone !== region) refuse(`no zone besides its region ${region}, found "${zone}"`)
  for (const [tag, value] of Object.entries(tags)) {
    if (value !== '' || !/^[\w:-]{1,255}$/.test(tag))
      refuse(`tags of letters, digits, _, - and :, without values; found "${tag}"`)
  }
  for (const name of Object.keys(features)) if (!/^\w+$/.test(name)) refuse(`names of features, found "${name}"`)
}

function answer(request: MetadataRequest, instance: DigitalOceanInstance): MetadataResponse<DigitalOceanInstance> {
  const refusal = refuseWrites(request, TEXT, 'method not allowed')
  if (refusal !== undefined) return refusal
  if (request.path === `${BASE}.json`) {
    return respond(200, 'application/json', JSON.stringify(document(instance)))
  }
  const names = decodePath(request.path)
  if (names?.[0] !== 'metadata' || names[1] !== 'v1') return notFound()
  const isSlashed = names.at(-1) === ''
  const below = names.slice(2, isSlashed ? -1 : undefined)
  const found = valueAt(index(instance), below)
  if (found === undefined) return notFound()
  if (typeof found === 'string') return isSlashed ? notFound() : respond(200, TEXT, found)
  if (!isSlashed) {
    return respond(301, 'text/html; charset=utf-8', '', [['Location', slashedLocation({ ...request, query: '' })]])
  }
  const lines = members(found).map(([name, value]) => `${name}${isObject(value) || Array.isArray(value) ? '/' : ''}`)
  return respond(200, TEXT, lines.join('\n'))
}

/** A value as text, or a directory. */
function valueAt(tree: JsonObject, names: readonly string[]): string | JsonObject | undefined {
  let here: Json = tree
  for (const name of names) {
    const found: Json | undefined = members(here).find(([key]) => key === name)?.[1]
    if (found === undefined) return undefined
    here = found
  }
  if (isObject(here)) return here
  return Array.isArray(here) ? Object.fromEntries(here.map((value: Json, at) => [`${at}`, value])) : scalarText(here)
}

/** The tree of text, which has other names than the document of JSON. */
function index(instance: DigitalOceanInstance): JsonObject {
  const { interfaces, reservedIpv4 } = instance
  const address = {
    ipv4: {
      active: String(reservedIpv4 !== undefined),
      ...(reservedIpv4 === undefined ? {} : { ip_address: reservedIpv4 }),
    },
  }
  return {
    id: instance.id,
    hostname: instance.hostname,
    'user-data': userDataText(instance),
    'vendor-data': instance.vendorData,
    'public-keys': instance.sshKeys.map(({ openssh }) => openssh).join('\n'),
    region: instance.region,
    interfaces: {
      public: { '0': publicInterface(interfaces[0]) },
      ...(interfaces.length > 1
        ? { private: Object.fromEntries(interfaces.slice(1).map((nic, at) => [`${at}`, privateInterface(nic)])) }
        : {}),
    },
    dns: { nameservers: NAMESERVERS.join('\n') },
    floating_ip: address,
    reserved_ip: address,
    tags: Object.keys(instance.tags).join('\n'),
    features: Object.fromEntries(Object.entries(instance.features).map(([name, isOn]) => [name, String(isOn)])),
  }
}

const NAMESERVERS = ['67.207.67.2', '67.207.67.3']

function document(instance: DigitalOceanInstance): JsonObject {
  const { interfaces, reservedIpv4 } = instance
  const address = { ipv4: reservedIpv4 === undefined ? { active: false } : { active: true, ip_address: reservedIpv4 } }
  return {
    droplet_id: Number(instance.id),
    hostname: instance.hostname,
    user_data: instance.userData === undefined ? undefined : userDataText(instance),
    vendor_data: instance.vendorData,
    public_keys: instance.sshKeys.map(({ openssh }) => openssh),
    auth_key: instance.authKey,
    region: instance.region,
    interfaces: {
      ...(interfaces.length > 1 ? { private: interfaces.slice(1).map(privateInterface) } : {}),
      public: [publicInterface(interfaces[0])],
    },
    floating_ip: address,
    reserved_ip: address,
    dns: { nameservers: NAMESERVERS },
    features: { ...instance.features },
    tags: Object.keys(instance.tags),
  }
}

/** What reserved addresses lead to, beside the address that is the card's own. */
const ANCHOR = { ip_address: '10.19.0.5', netmask: '255.255.0.0', gateway: '10.19.0.1' }

function publicInterface(nic: NetworkInterface): JsonObject {
  const { gateway, netmask } = ipv4Subnet(nic.ipv4Subnet)
  const [ipv6] = nic.ipv6
  const address = nic.publicIpv4 ?? nic.ipv4
  return {
    ipv4: { ip_address: address, netmask, gateway },
    ...(ipv6 === undefined
      ? {}
      : { ipv6: { ip_address: ipv6, cidr: Number(nic.ipv6Subnet?.split('/')[1] ?? 64), gateway: 'fe80::1' } }),
    anchor_ipv4: address === nic.ipv4 ? ANCHOR : { ip_address: nic.ipv4, netmask, gateway },
    mac: nic.mac,
    type: 'public',
  }
}

function privateInterface(nic: NetworkInterface): JsonObject {
  const { gateway, netmask } = ipv4Subnet(nic.ipv4Subnet)
  return { ipv4: { ip_address: nic.ipv4, netmask, gateway }, mac: nic.mac, type: 'private' }
}

function notFound(): MetadataResponse<DigitalOceanInstance> {
  return respond(404, TEXT, 'not found')
}
