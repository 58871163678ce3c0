import { createHash } from 'node:crypto'
import { refuseWrites, respond, treeAnswer } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedHex, derivedUuid, ipv4Subnet } from './instance-parts.ts'
import { decodePath } from './path.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider, type Setting } from './provider.ts'
import { type Directory, directory, oncePerState, rootDirectory } from './tree.ts'

const HOST = 'metadata.tencentyun.com'
const TEXT = 'text/plain'
const HOUR_MS = 3_600_000
/** Below these the tree is the same; systemd's hwdb asks for it at the root as well. */
const VERSIONS = ['1.0', '2017-09-19', 'latest', 'meta-data']

/** A Cloud Virtual Machine of Tencent Cloud. */
export interface TencentInstance extends Instance {
  readonly uuid: string
  readonly appId: string
  readonly instanceName: string
  /** Name of the role whose (fake) credentials are offered. */
  readonly role: string | undefined
  readonly spotTerminationAtMs: number | undefined
}

/** Tencent Cloud. Its service is known by a name; nobody documents the address, so that a lock has nothing to hold. */
export const tencent = {
  name: 'tencent',
  title: 'Tencent Cloud CVM',
  hwdb: {
    vendor: 'tencent-cloud',
    match: 'dmi:*:svnTencentCloud:*',
    dataUrl: `http://${HOST}`,
    wellKnown: {
      hostname: '/meta-data/hostname',
      region: '/meta-data/placement/region',
      zone: '/meta-data/placement/zone',
      'ipv4-public': '/meta-data/public-ipv4',
      'ssh-key': '/meta-data/public-keys/0/openssh-key',
      userdata: '/user-data',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: '169.254.0.23', ipv6: undefined, port: 80 }],
  dnsNames: [HOST],
  dhcp: PLAIN_DHCP,
  secretHeaders: [],
  instance: tencentInstance,
  smbios: ({ uuid }: TencentInstance) => ({
    bios: { vendor: 'SeaBIOS', version: 'seabios-1.9.1-qemu-project.org', releaseDate: '04/01/2014' },
    system: { manufacturer: 'Tencent Cloud', productName: 'CVM', version: '3.0', serialNumber: uuid, uuid },
    chassis: { manufacturer: 'Smdbmds' },
  }),
  answer,
} satisfies Provider<TencentInstance>

/** A whole machine. Region leads to the zone. */
export function tencentInstance(overrides: Overrides<TencentInstance> = {}): TencentInstance {
  const region = overrides.region ?? 'eu-frankfurt'
  const defaults: TencentInstance = {
    ...commonInstance({
      cloud: 'tencent',
      id: 'ins-b0070070',
      type: 'S5.MEDIUM4',
      image: 'img-b0070070',
      hostname: 'bootwright',
      region,
      zone: `${region}-1`,
      mac: '52:54:00:b0:07:01',
    }),
    uuid: derivedUuid('tencent machine'),
    appId: '1234567890',
    instanceName: 'bootwright',
    role: 'bootwright-fake-role',
    spotTerminationAtMs: undefined,
  }
  const rules = {
    id: { pattern: /^ins-[0-9a-z]{8}$/, words: 'ins- and 8 letters or digits' },
    maxUserDataBytes: 16_384,
  }
  return completeInstance('A machine of Tencent Cloud', defaults, overrides, rules, ({ role }, refuse) => {
    if (role !== undefined && !/^[\w.-]{1,64}$/.test(role)) refuse(`a role name, found "${role}"`)
  })
}

function answer(
  request: MetadataRequest,
  instance: TencentInstance,
  nowMs: number,
  { hasHwdbPaths, signer }: Setting,
): MetadataResponse<TencentInstance> {
  const refusal = refuseWrites(request, 'text/html', page('405 Not Allowed'))
  if (refusal !== undefined) return refusal
  const names = decodePath(request.path)
  if (names === undefined) return respond(400, 'text/html', page('400 Bad Request'))
  const [version = '', ...below] = names
  if (version === '') return respond(200, TEXT, VERSIONS.join('\n'))
  const tree = treeOf(instance)
  const isVersion = VERSIONS.includes(version) && version !== 'meta-data'
  const path = isVersion ? below : hasHwdbPaths ? names : undefined
  const found = path === undefined ? undefined : treeAnswer(tree, path, nowMs, signer, TEXT)
  return found ?? respond(404, 'text/html', page('404 Not Found'))
}

const treeOf = oncePerState((instance: TencentInstance): Directory => {
  const { userData } = instance
  return rootDirectory({
    'meta-data': metaData(instance),
    'user-data': userData === undefined ? undefined : { bytes: userData, contentType: 'application/octet-stream' },
  })
})

function metaData(instance: TencentInstance): Directory | undefined {
  const { interfaces, role, sshKeys, spotTerminationAtMs } = instance
  const [nic] = interfaces
  return directory({
    'app-id': instance.appId,
    cam:
      role === undefined
        ? undefined
        : directory({
            'security-credentials': directory([[role, (nowMs: number) => fakeCredentials(instance, role, nowMs)]]),
          }),
    hostname: instance.hostname,
    instance: directory({
      'bandwidth-limit-egress': '10240',
      'image-id': instance.image,
      'instance-type': instance.type,
    }),
    'instance-id': instance.id,
    'instance-name': instance.instanceName,
    'local-ipv4': nic.ipv4,
    mac: nic.mac,
    network: directory({
      interfaces: directory({ macs: directory(interfaces.map((one) => [one.mac, networkInterface(instance, one)])) }),
    }),
    payment: directory({
      'charge-type': 'POSTPAID_BY_HOUR',
      'create-time': localTime(instance.startedAtMs),
      'termination-time': 'None',
    }),
    placement: directory({ region: instance.region, zone: instance.zone }),
    'public-ipv4': nic.publicIpv4,
    'public-keys': directory(sshKeys.map(({ openssh }, index) => [`${index}`, directory({ 'openssh-key': openssh })])),
    spot: directory({
      'termination-time': spotTerminationAtMs === undefined ? undefined : localTime(spotTerminationAtMs),
    }),
    uuid: instance.uuid,
  })
}

function networkInterface(instance: TencentInstance, nic: NetworkInterface): Directory | undefined {
  const { gateway, netmask } = ipv4Subnet(nic.ipv4Subnet)
  const address = directory({
    gateway,
    'local-ipv4': nic.ipv4,
    'public-ipv4': nic.publicIpv4,
    'public-ipv4-mode': nic.publicIpv4 === undefined ? undefined : 'NAT',
    'subnet-mask': netmask,
  })
  return directory({
    'local-ipv4s': directory([[nic.ipv4, address]]),
    mac: nic.mac,
    'primary-local-ipv4': nic.ipv4,
    'public-ipv4s': nic.publicIpv4,
    'subnet-id': `subnet-${derivedHex(`${instance.id} subnet`, 8)}`,
    'vpc-id': `vpc-${derivedHex(`${instance.id} vpc`, 8)}`,
  })
}

/** `2026-01-01 00:00:00` */
function localTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

/** Credentials that say what they are; they change every hour and live for six. */
function fakeCredentials(instance: TencentInstance, role: string, nowMs: number): string {
  const updatedAtMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS
  const expiresMs = updatedAtMs + 6 * HOUR_MS
  const secret = createHash('sha512').update(`${instance.id} ${role} ${updatedAtMs}`).digest('base64')
  return JSON.stringify({
    TmpSecretId: 'bootwright-fake-secret-id',
    TmpSecretKey: 'bootwright-fake-secret-key',
    ExpiredTime: Math.floor(expiresMs / 1000),
    Expiration: `${new Date(expiresMs).toISOString().slice(0, 19)}Z`,
    Token: `bootwright-fake-token/${secret}`,
    Code: 'Success',
  })
}

function page(title: string): string {
  return `<html>\n<head><title>${title}</title></head>\n<body>\n<center><h1>${title}</h1></center>\n</body>\n</html>\n`
}
