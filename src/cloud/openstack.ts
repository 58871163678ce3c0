import { createHash } from 'node:crypto'
import { respond, treeAnswer } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedHex, derivedUuid, ipv4Subnet, UUID } from './instance-parts.ts'
import type { Json, JsonObject } from './json.ts'
import { decodePath } from './path.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider, type Setting } from './provider.ts'
import { type Directory, directory, oncePerState, rootDirectory } from './tree.ts'

const IPV4 = '169.254.169.254'
const TEXT = 'text/plain; charset=UTF-8'
const JSON_TYPE = 'application/json'
export const OPENSTACK_VERSIONS = [
  '2012-08-10',
  '2013-04-04',
  '2013-10-17',
  '2015-10-15',
  '2016-06-30',
  '2016-10-06',
  '2017-02-22',
  '2018-08-27',
  '2020-10-14',
  'latest',
] as const
const EC2_VERSIONS =
  '1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01 2009-04-04 latest'.split(' ')
const MAX_PASSWORD_BYTES = 1024

/** An instance of an OpenStack cloud. */
export interface OpenStackInstance extends Instance {
  readonly name: string
  readonly projectId: string
  readonly launchIndex: number
  readonly vendorData: JsonObject
  readonly vendorData2: JsonObject
  /** What the guest left, encrypted for its owner; it can do so once. */
  readonly password: string
}

/** OpenStack, which systemd's hwdb does not know: a tree of its own, and that of EC2 as of 2009. */
export const openstack = {
  name: 'openstack',
  title: 'OpenStack',
  hwdb: undefined,
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: 'fe80::a9fe:a9fe', port: 80 }],
  dnsNames: [],
  dhcp: { ...PLAIN_DHCP, hostRoutes: [IPV4] },
  secretHeaders: [],
  instance: openstackInstance,
  smbios: ({ id }: OpenStackInstance) => ({
    bios: { vendor: 'EDK II', version: 'edk2-20240101', releaseDate: '01/01/2024' },
    system: {
      manufacturer: 'OpenStack Foundation',
      productName: 'OpenStack Nova',
      version: '29.0.0',
      serialNumber: id,
      uuid: id,
      family: 'Virtual Machine',
    },
    chassis: { manufacturer: 'OpenStack Foundation' },
  }),
  answer,
} satisfies Provider<OpenStackInstance>

/** A whole instance. */
export function openstackInstance(overrides: Overrides<OpenStackInstance> = {}): OpenStackInstance {
  const name = overrides.name ?? 'bootwright'
  const defaults: OpenStackInstance = {
    ...commonInstance({
      cloud: 'openstack',
      id: derivedUuid('openstack instance'),
      type: 'm1.small',
      image: derivedUuid('openstack image'),
      hostname: `${name}.novalocal`,
      region: 'RegionOne',
      zone: 'nova',
      mac: 'fa:16:3e:b0:07:01',
    }),
    name,
    projectId: derivedHex('openstack project', 32),
    launchIndex: 0,
    vendorData: {},
    vendorData2: {},
    password: '',
  }
  return completeInstance('An instance of OpenStack', defaults, overrides, { id: UUID, maxUserDataBytes: 65_535 })
}

function answer(
  request: MetadataRequest,
  instance: OpenStackInstance,
  nowMs: number,
  { signer }: Setting,
): MetadataResponse<OpenStackInstance> {
  const names = decodePath(request.path.replace(/\/+$/, '') || '/')
  if (names === undefined) return failure(400, 'Bad Request')
  const [top = '', version = '', file = '', more] = names
  if (top === 'openstack' && file === 'password' && request.method === 'POST') return takePassword(request, instance)
  if (request.method !== 'GET' && request.method !== 'HEAD') return failure(405, 'Method Not Allowed')
  if (top === 'openstack') {
    if (version === '') return respond(200, TEXT, OPENSTACK_VERSIONS.join('\n'))
    if (!OPENSTACK_VERSIONS.some((one) => one === version) || more !== undefined) return failure(404, 'Not Found')
    const known = documents(instance, version)
    if (file === '') return respond(200, TEXT, [...known.keys()].join('\n'))
    return known.get(file)?.() ?? failure(404, 'Not Found')
  }
  const below = top === '' ? [] : names
  return treeAnswer(ec2Tree(instance), below, nowMs, signer, TEXT) ?? failure(404, 'Not Found')
}

/** By version: files appeared one by one (Nova, metadata service). */
function documents(
  instance: OpenStackInstance,
  version: string,
): Map<string, () => MetadataResponse<OpenStackInstance>> {
  const json = (value: Json) => () => respond(200, JSON_TYPE, JSON.stringify(value))
  const since = (first: string) => version >= first || version === 'latest'
  const { userData } = instance
  const files: (readonly [string, () => MetadataResponse<OpenStackInstance>])[] = [
    ['meta_data.json', json(metaData(instance, version))],
  ]
  if (since('2013-04-04')) files.push(['password', () => respond(200, TEXT, instance.password)])
  if (userData !== undefined) files.push(['user_data', () => respond(200, 'application/octet-stream', userData)])
  if (since('2013-10-17')) files.push(['vendor_data.json', json(instance.vendorData)])
  if (since('2015-10-15')) files.push(['network_data.json', json(networkData(instance))])
  if (since('2016-10-06')) files.push(['vendor_data2.json', json(instance.vendorData2)])
  return new Map(files)
}

function metaData(instance: OpenStackInstance, version: string): JsonObject {
  const keys = instance.sshKeys
  return {
    availability_zone: instance.zone,
    devices: version >= '2016-06-30' ? [] : undefined,
    hostname: instance.hostname,
    keys: keys.length === 0 ? undefined : keys.map(({ name, openssh }) => ({ data: openssh, name, type: 'ssh' })),
    launch_index: instance.launchIndex,
    meta: { ...instance.tags },
    name: instance.name,
    project_id: version >= '2015-10-15' ? instance.projectId : undefined,
    public_keys: keys.length === 0 ? undefined : Object.fromEntries(keys.map(({ name, openssh }) => [name, openssh])),
    random_seed: createHash('sha512').update(`seed of ${instance.id}`).digest('base64'),
    uuid: instance.id,
  }
}

function networkData({ interfaces }: OpenStackInstance): JsonObject {
  const linkOf = ({ mac }: NetworkInterface) => `tap${derivedHex(mac, 8)}-b0`
  return {
    links: interfaces.map((nic) => ({
      ethernet_mac_address: nic.mac,
      id: linkOf(nic),
      mtu: 1500,
      type: 'ovs',
      vif_id: derivedUuid(`vif ${nic.mac}`),
    })),
    networks: interfaces.map((nic, at) => ({
      id: `network${at}`,
      link: linkOf(nic),
      network_id: derivedUuid(`network ${nic.ipv4Subnet}`),
      type: 'ipv4_dhcp',
    })),
    services: [{ address: ipv4Subnet(interfaces[0].ipv4Subnet).gateway, type: 'dns' }],
  }
}

/** The guest's password for its owner: 1024 bytes at most, and only once. */
function takePassword(request: MetadataRequest, instance: OpenStackInstance): MetadataResponse<OpenStackInstance> {
  if (instance.password !== '') return failure(409, 'Conflict')
  if (request.body.length === 0 || request.body.length > MAX_PASSWORD_BYTES) return failure(400, 'Bad Request')
  return { ...respond(200, TEXT, ''), next: { ...instance, password: Buffer.from(request.body).toString('latin1') } }
}

const ec2Tree = oncePerState((instance: OpenStackInstance): Directory => {
  const { interfaces, userData, sshKeys } = instance
  const [nic] = interfaces
  const [shortName = instance.hostname] = instance.hostname.split('.')
  const version = directory({
    'meta-data': directory({
      'ami-id': `ami-${derivedHex(instance.image, 8)}`,
      'ami-launch-index': `${instance.launchIndex}`,
      // What Nova itself answers, to the letter.
      'ami-manifest-path': 'FIXME',
      'block-device-mapping': directory({ ami: 'vda', root: '/dev/vda' }),
      hostname: instance.hostname,
      'instance-action': 'none',
      'instance-id': `i-${derivedHex(instance.id, 8)}`,
      'instance-type': instance.type,
      'local-hostname': shortName,
      'local-ipv4': nic.ipv4,
      placement: directory({ 'availability-zone': instance.zone }),
      'public-hostname': instance.hostname,
      'public-ipv4': nic.publicIpv4 ?? '',
      'public-keys': directory(
        sshKeys.map(({ openssh }, index) => [`${index}`, directory({ 'openssh-key': openssh })]),
        (index) => `${index}=${sshKeys[Number(index)]?.name ?? ''}`,
      ),
      'reservation-id': `r-${derivedHex(`reservation ${instance.id}`, 8)}`,
      'security-groups': 'default',
    }),
    'user-data': userData === undefined ? undefined : { bytes: userData, contentType: 'application/octet-stream' },
  })
  return rootDirectory(
    EC2_VERSIONS.map((name) => [name, version] as const),
    (name) => name,
  )
})

function failure(status: number, title: string): MetadataResponse<OpenStackInstance> {
  const page = `<html>\n <head>\n  <title>${status} ${title}</title>\n </head>\n <body>\n  <h1>${status} ${title}</h1>\n </body>\n</html>`
  return respond(status, 'text/html; charset=UTF-8', page)
}
