import { createHash } from 'node:crypto'
import { refuseWrites, respond, treeAnswer } from './answers.ts'
import { signCms } from './cms.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedHex, derivedUuid, ipv4Subnet } from './instance-parts.ts'
import type { Json } from './json.ts'
import { decodePath } from './path.ts'
import {
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  PLAIN_DHCP,
  type Provider,
  type Setting,
} from './provider.ts'
import type { Signer } from './signer.ts'
import { issueToken, parseTtl, remainingSeconds, type TokenScope } from './tokens.ts'
import { type Directory, directory, isDirectory, type Leaf, oncePerState, rootDirectory } from './tree.ts'

const IPV4 = '100.100.100.200'
const TEXT = 'text/plain; charset=utf-8'
const TOKEN_HEADER = 'X-aliyun-ecs-metadata-token'
const TTL_HEADER = 'X-aliyun-ecs-metadata-token-ttl-seconds'
const TOKEN_PATH = '/latest/api/token'
const MAX_TTL_SECONDS = 21_600
const HOUR_MS = 3_600_000
/** Whose certificate the identity document is signed with. */
export const ALIBABA_SIGNER_NAME = 'metadata.aliyun.example'

/** An instance of Alibaba Cloud's Elastic Compute Service. */
export interface AlibabaInstance extends Instance {
  /** `required` is the hardened mode: nothing without a token. */
  readonly httpTokens: 'optional' | 'required'
  readonly tokenGeneration: number
  readonly ownerAccountId: string
  readonly instanceName: string
  readonly serialNumber: string
  readonly vpcId: string
  readonly vswitchId: string
  readonly vpcCidrBlock: string
  /** Name of the role whose (fake) credentials are offered. */
  readonly role: string | undefined
  /** When a spot instance is taken back. */
  readonly spotTerminationAtMs: number | undefined
  readonly vendorData: string | undefined
}

/** Alibaba Cloud ECS. */
export const alibaba = {
  name: 'alibaba',
  title: 'Alibaba Cloud ECS',
  hwdb: {
    vendor: 'alibaba-ecs',
    match: 'dmi:*:svnAlibabaCloud:*',
    dataUrl: `http://${IPV4}/latest`,
    tokenUrl: `http://${IPV4}${TOKEN_PATH}`,
    refreshHeaderName: TTL_HEADER,
    tokenHeaderName: TOKEN_HEADER,
    addressIpv4: IPV4,
    wellKnown: {
      hostname: '/meta-data/hostname',
      region: '/meta-data/region-id',
      zone: '/meta-data/zone-id',
      'ipv4-public': '/meta-data/eipv4',
      'ssh-key': '/meta-data/public-keys/0/openssh-key',
      userdata: '/user-data',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  secretHeaders: [TOKEN_HEADER.toLowerCase()],
  instance: alibabaInstance,
  smbios: ({ serialNumber }: AlibabaInstance) => ({
    bios: { vendor: 'SeaBIOS', version: '449e491', releaseDate: '04/01/2014' },
    system: {
      manufacturer: 'Alibaba Cloud',
      productName: 'Alibaba Cloud ECS',
      version: 'pc-i440fx-2.1',
      serialNumber,
      uuid: serialNumber,
    },
    chassis: { manufacturer: 'Alibaba Cloud' },
  }),
  answer,
} satisfies Provider<AlibabaInstance>

/** A whole instance. Region leads to the zone. */
export function alibabaInstance(overrides: Overrides<AlibabaInstance> = {}): AlibabaInstance {
  const region = overrides.region ?? 'eu-central-1'
  const id = (prefix: string) => `${prefix}-${derivedHex(`alibaba ${prefix}`, 20)}`
  const defaults: AlibabaInstance = {
    ...commonInstance({
      cloud: 'alibaba',
      id: id('i'),
      type: 'ecs.g7.large',
      image: 'm-bootwright.raw',
      hostname: 'bootwright',
      region,
      zone: `${region}-a`,
      mac: '00:16:3e:b0:07:01',
    }),
    httpTokens: 'optional',
    tokenGeneration: 0,
    ownerAccountId: '1234567890123456',
    instanceName: 'bootwright',
    serialNumber: derivedUuid('alibaba serial'),
    vpcId: id('vpc'),
    vswitchId: id('vsw'),
    vpcCidrBlock: '172.16.0.0/12',
    role: 'bootwright-fake-role',
    spotTerminationAtMs: undefined,
    vendorData: undefined,
  }
  const rules = {
    id: { pattern: /^i-[0-9a-z]{8,32}$/, words: 'i- and letters and digits' },
    maxUserDataBytes: 32_768,
  }
  return completeInstance('An instance of Alibaba Cloud', defaults, overrides, rules, ({ role }, refuse) => {
    if (role !== undefined && !/^[\w.-]{1,64}$/.test(role)) refuse(`a role name, found "${role}"`)
  })
}

function answer(
  request: MetadataRequest,
  instance: AlibabaInstance,
  nowMs: number,
  { signer }: Setting,
): MetadataResponse<AlibabaInstance> {
  const names = decodePath(request.path)
  if (names === undefined) return failure(400, 'Bad Request')
  const scope: TokenScope = { service: 'alibaba', instanceId: instance.id, generation: instance.tokenGeneration }
  if (request.method === 'PUT' && request.path === TOKEN_PATH) {
    const seconds = parseTtl(headerValue(request.headers, TTL_HEADER), MAX_TTL_SECONDS)
    if (seconds === undefined) return failure(400, 'Bad Request')
    return respond(200, TEXT, issueToken(scope, nowMs, seconds), [[TTL_HEADER, `${seconds}`]])
  }
  const refusal = refuseWrites(request, 'text/html', page(405, 'Method Not Allowed'))
  if (refusal !== undefined) return refusal
  const token = headerValue(request.headers, TOKEN_HEADER)
  const isKnown = token !== undefined && remainingSeconds(scope, token, nowMs) !== undefined
  if (!isKnown && (token !== undefined || instance.httpTokens === 'required')) return failure(403, 'Forbidden')
  const [version, ...below] = names
  if (version === '') return respond(200, TEXT, '2016-01-01\nlatest')
  if (version !== 'latest' && version !== '2016-01-01') return failure(404, 'Not Found')
  const tree = treeOf(instance)
  if (below.join('/') === 'meta-data/all') {
    const metaData = tree.entries.get('meta-data')
    return respond(
      200,
      'application/json',
      JSON.stringify(metaData === undefined ? {} : asJson(metaData, nowMs, signer)),
    )
  }
  return treeAnswer(tree, below, nowMs, signer, TEXT) ?? failure(404, 'Not Found')
}

/** The same tree as one object. */
function asJson(entry: Leaf | Directory, nowMs: number, signer: Signer): Json {
  if (isDirectory(entry))
    return Object.fromEntries([...entry.entries].map(([name, child]) => [name, asJson(child, nowMs, signer)]))
  if (typeof entry === 'function') return entry(nowMs, signer)
  return typeof entry === 'string' ? entry : Buffer.from(entry.bytes).toString()
}

const treeOf = oncePerState((instance: AlibabaInstance): Directory => {
  const { userData, vendorData } = instance
  const document = identityDocument(instance)
  return rootDirectory({
    'meta-data': metaData(instance),
    'user-data': userData === undefined ? undefined : { bytes: userData, contentType: 'application/octet-stream' },
    'vendor-data': vendorData,
    dynamic: directory({
      'instance-identity': directory({
        document,
        pkcs7: (nowMs, signer) => {
          const options = { digest: 'sha256', signedAtMs: nowMs } as const
          return signCms(signer.identity(ALIBABA_SIGNER_NAME), Buffer.from(document), options).toString('base64')
        },
      }),
    }),
  })
})

function metaData(instance: AlibabaInstance): Directory | undefined {
  const { interfaces, role, sshKeys, spotTerminationAtMs } = instance
  const [nic] = interfaces
  return directory({
    'dns-conf': directory({ nameservers: '100.100.2.136\n100.100.2.138' }),
    eipv4: nic.publicIpv4,
    hibernation: directory({ configured: 'false' }),
    hostname: instance.hostname,
    'image-id': instance.image,
    instance: directory({
      'instance-name': instance.instanceName,
      'instance-type': instance.type,
      'last-host-landing-time': isoSeconds(instance.startedAtMs),
      'max-netbw-egress': '102400',
      'max-netbw-ingress': '102400',
      spot: directory({
        'termination-time': spotTerminationAtMs === undefined ? undefined : isoSeconds(spotTerminationAtMs),
      }),
      'virtualization-solution': 'ECS Virt',
      'virtualization-solution-version': '2.0',
    }),
    'instance-id': instance.id,
    mac: nic.mac,
    network: directory({
      interfaces: directory({ macs: directory(interfaces.map((one) => [one.mac, networkInterface(instance, one)])) }),
    }),
    'network-type': 'vpc',
    'ntp-conf': directory({ 'ntp-servers': 'ntp.cloud.aliyuncs.com' }),
    'owner-account-id': instance.ownerAccountId,
    'private-ipv4': nic.ipv4,
    'public-keys': directory(sshKeys.map(({ openssh }, index) => [`${index}`, directory({ 'openssh-key': openssh })])),
    ram:
      role === undefined
        ? undefined
        : directory({
            'security-credentials': directory([[role, (nowMs: number) => fakeCredentials(instance, role, nowMs)]]),
          }),
    'region-id': instance.region,
    'serial-number': instance.serialNumber,
    'source-address': 'http://mirrors.cloud.aliyuncs.com',
    'vpc-cidr-block': instance.vpcCidrBlock,
    'vpc-id': instance.vpcId,
    'vswitch-cidr-block': nic.ipv4Subnet,
    'vswitch-id': instance.vswitchId,
    'zone-id': instance.zone,
  })
}

function networkInterface(instance: AlibabaInstance, nic: NetworkInterface): Directory | undefined {
  const { gateway, netmask } = ipv4Subnet(nic.ipv4Subnet)
  const hasIpv6 = nic.ipv6.length > 0
  return directory({
    gateway,
    ipv6s: hasIpv6 ? `[${nic.ipv6.join(',')}]` : undefined,
    netmask,
    'network-interface-id': `eni-${derivedHex(`${instance.id} ${nic.mac}`, 20)}`,
    'primary-ip-address': nic.ipv4,
    'private-ipv4s': JSON.stringify([nic.ipv4]),
    'vpc-cidr-block': instance.vpcCidrBlock,
    'vpc-id': instance.vpcId,
    'vswitch-cidr-block': nic.ipv4Subnet,
    'vswitch-id': instance.vswitchId,
  })
}

function identityDocument(instance: AlibabaInstance): string {
  return JSON.stringify({
    'owner-account-id': instance.ownerAccountId,
    'instance-id': instance.id,
    mac: instance.interfaces[0].mac,
    'region-id': instance.region,
    'serial-number': instance.serialNumber,
    'zone-id': instance.zone,
    'instance-type': instance.type,
    'image-id': instance.image,
    'private-ipv4': instance.interfaces[0].ipv4,
  })
}

/** Credentials that say what they are; they change every hour and live for six. */
function fakeCredentials(instance: AlibabaInstance, role: string, nowMs: number): string {
  const updatedAtMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS
  const secret = createHash('sha512').update(`${instance.id} ${role} ${updatedAtMs}`).digest('base64')
  return JSON.stringify({
    AccessKeyId: 'STS.bootwrightFake',
    AccessKeySecret: 'bootwright-fake-secret-of-no-account',
    Expiration: isoSeconds(updatedAtMs + 6 * HOUR_MS),
    SecurityToken: `bootwright-fake-token/${secret}`,
    LastUpdated: isoSeconds(updatedAtMs),
    Code: 'Success',
  })
}

function isoSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

function failure(status: number, title: string): MetadataResponse<AlibabaInstance> {
  return respond(status, 'text/html', page(status, title))
}

function page(status: number, title: string): string {
  return `<?xml version="1.0" encoding="iso-8859-1"?>\n<html>\n <head>\n  <title>${status} - ${title}</title>\n </head>\n <body>\n  <h1>${status} - ${title}</h1>\n </body>\n</html>\n`
}
