import { refuseWrites, respond, treeAnswer } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedUuid, ipv4Subnet, UUID, userDataText } from './instance-parts.ts'
import { type JsonObject, textTree } from './json.ts'
import { decodePath } from './path.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider, type Setting } from './provider.ts'
import { oncePerState } from './tree.ts'

const IPV4 = '169.254.169.254'
const TEXT = 'text/plain; charset=utf-8'
const NAMESERVERS = ['94.237.127.9', '94.237.40.9']

/** A server of UpCloud. */
export interface UpCloudInstance extends Instance {
  readonly vendorData: string
  readonly diskGiB: number
}

/** UpCloud, which systemd's hwdb does not know. */
export const upcloud = {
  name: 'upcloud',
  title: 'UpCloud',
  hwdb: undefined,
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: upcloudInstance,
  // cloud-init takes the identifier of the system for that of the server.
  smbios: ({ id }: UpCloudInstance) => ({
    bios: { vendor: 'UpCloud', version: '1.0', releaseDate: '01/01/2026' },
    system: { manufacturer: 'UpCloud', productName: 'UpCloud Cloud Server', serialNumber: id, uuid: id },
    chassis: { manufacturer: 'UpCloud' },
  }),
  answer,
} satisfies Provider<UpCloudInstance>

/** A whole server. UpCloud calls a zone what others call a region: there is one of both. */
export function upcloudInstance(overrides: Overrides<UpCloudInstance> = {}): UpCloudInstance {
  const zone = overrides.zone ?? overrides.region ?? 'de-fra1'
  const defaults: UpCloudInstance = {
    ...commonInstance({
      cloud: 'upcloud',
      id: derivedUuid('upcloud server').replace(/^../, '00'),
      type: '1xCPU-2GB',
      image: 'bootwright',
      hostname: 'bootwright',
      region: zone,
      zone,
      mac: '3a:d6:ba:b0:07:01',
    }),
    tags: { bootwright: '' },
    vendorData: '',
    diskGiB: 10,
  }
  const rules = { id: UUID, maxUserDataBytes: 65_536, userDataIsText: true }
  return completeInstance('A server of UpCloud', defaults, overrides, rules, ({ region }, refuse) => {
    if (region !== zone) refuse(`one name for region and zone, found "${region}" and "${zone}"`)
  })
}

function answer(
  request: MetadataRequest,
  instance: UpCloudInstance,
  nowMs: number,
  { signer }: Setting,
): MetadataResponse<UpCloudInstance> {
  const refusal = refuseWrites(request, TEXT, 'Method Not Allowed')
  if (refusal !== undefined) return refusal
  if (request.path === '/metadata/v1.json') {
    return respond(200, 'application/json', JSON.stringify(document(instance)))
  }
  const names = decodePath(request.path)
  if (names?.[0] !== 'metadata' || names[1] !== 'v1') return respond(404, TEXT, 'Not Found')
  return treeAnswer(treeOf(instance), names.slice(2), nowMs, signer, TEXT) ?? respond(404, TEXT, 'Not Found')
}

const LISTS: ReadonlySet<string> = new Set(['public_keys', 'tags', 'dns'])

const treeOf = oncePerState((instance: UpCloudInstance) =>
  textTree(document(instance), { isLines: (path) => LISTS.has(path.at(-1) ?? '') }),
)

function document(instance: UpCloudInstance): JsonObject {
  const disk = derivedUuid(`upcloud disk ${instance.id}`)
  return {
    cloud_name: 'upcloud',
    instance_id: instance.id,
    hostname: instance.hostname,
    platform: 'servers',
    subplatform: `metadata (http://${IPV4})`,
    public_keys: instance.sshKeys.map(({ openssh }) => openssh),
    region: instance.region,
    network: { interfaces: instance.interfaces.map(networkInterface), dns: NAMESERVERS },
    storage: {
      disks: [
        {
          id: disk,
          serial: disk.replaceAll('-', '').slice(0, 20),
          size: instance.diskGiB * 1024,
          type: 'disk',
          tier: 'maxiops',
        },
      ],
    },
    tags: Object.keys(instance.tags),
    user_data: userDataText(instance),
    vendor_data: instance.vendorData,
  }
}

/** The first interface has the public addresses, further ones are private networks. */
function networkInterface(nic: NetworkInterface, at: number): JsonObject {
  const { gateway } = ipv4Subnet(nic.ipv4Subnet)
  const isPublic = at === 0
  const [ipv6] = nic.ipv6
  const ipv4 = {
    address: (isPublic ? nic.publicIpv4 : undefined) ?? nic.ipv4,
    dhcp: true,
    dns: isPublic ? NAMESERVERS : null,
    family: 'IPv4',
    floating: false,
    gateway,
    network: nic.ipv4Subnet,
  }
  const more =
    ipv6 === undefined
      ? []
      : [
          {
            address: ipv6,
            dhcp: true,
            dns: null,
            family: 'IPv6',
            floating: false,
            gateway: '',
            network: nic.ipv6Subnet,
          },
        ]
  return {
    index: at + 1,
    ip_addresses: [ipv4, ...more],
    mac: nic.mac,
    network_id: derivedUuid(`upcloud network ${nic.ipv4Subnet}`),
    type: isPublic ? 'public' : 'private',
  }
}
