import { refuseWrites, respond, treeAnswer } from './answers.ts'
import type { Instance, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedUuid, UUID } from './instance-parts.ts'
import { decodePath } from './path.ts'
import {
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  PLAIN_DHCP,
  type Provider,
  type Setting,
} from './provider.ts'
import { type Directory, directory, oncePerState, rootDirectory } from './tree.ts'

const IPV4 = '169.254.169.254'
const TEXT = 'text/plain; charset=utf-8'
const VERSIONS = ['1.0', 'latest']
const PASSWORD = 'password'

/** An instance of Exoscale. */
export interface ExoscaleInstance extends Instance {
  /** What its owner has had set; empty once the guest has said that it has it, or without. */
  readonly password: string
  readonly isPasswordSaved: boolean
}

/** Exoscale, whose services are those of Apache CloudStack, and which systemd's hwdb does not know. */
export const exoscale = {
  name: 'exoscale',
  title: 'Exoscale',
  hwdb: undefined,
  endpoints: [
    { name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 },
    { name: PASSWORD, ipv4: IPV4, ipv6: undefined, port: 8080 },
  ],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: exoscaleInstance,
  smbios: ({ id }: ExoscaleInstance) => ({
    bios: { vendor: 'SeaBIOS', version: '1.16.0', releaseDate: '04/01/2014' },
    system: { manufacturer: 'Exoscale', productName: 'Exoscale Compute Platform', serialNumber: id, uuid: id },
    chassis: { manufacturer: 'Exoscale' },
  }),
  answer,
} satisfies Provider<ExoscaleInstance>

/** A whole instance. Exoscale calls a zone what others call a region: there is one of both. */
export function exoscaleInstance(overrides: Overrides<ExoscaleInstance> = {}): ExoscaleInstance {
  const zone = overrides.zone ?? overrides.region ?? 'de-fra-1'
  const defaults: ExoscaleInstance = {
    ...commonInstance({
      cloud: 'exoscale',
      id: derivedUuid('exoscale instance'),
      type: 'Small',
      image: 'bootwright',
      hostname: 'bootwright',
      region: zone,
      zone,
      mac: '0a:54:a1:b0:07:01',
    }),
    tags: {},
    password: '',
    isPasswordSaved: false,
  }
  const rules = { id: UUID, maxUserDataBytes: 32_768 }
  return completeInstance(
    'An instance of Exoscale',
    defaults,
    overrides,
    rules,
    ({ region, tags, password }, refuse) => {
      if (region !== zone) refuse(`one name for region and zone, found "${region}" and "${zone}"`)
      if (Object.keys(tags).length > 0) refuse('no tags, which its metadata have no place for')
      if (!/^[\x21-\x7e]{0,128}$/.test(password))
        refuse('a password of at most 128 printable characters without blanks')
    },
  )
}

function answer(
  request: MetadataRequest,
  instance: ExoscaleInstance,
  nowMs: number,
  { signer }: Setting,
): MetadataResponse<ExoscaleInstance> {
  const refusal = refuseWrites(request, TEXT, 'Method Not Allowed')
  if (refusal !== undefined) return refusal
  if (request.endpoint === PASSWORD) return password(request, instance)
  const names = decodePath(request.path) ?? []
  const [version = '', kind, ...below] = names
  if (!VERSIONS.includes(version)) return respond(404, TEXT, 'Not Found')
  if (kind === 'user-data' && below.length === 0) {
    return instance.userData === undefined
      ? respond(404, TEXT, 'Not Found')
      : respond(200, 'application/octet-stream', instance.userData)
  }
  return treeAnswer(treeOf(instance), names.slice(1), nowMs, signer, TEXT) ?? respond(404, TEXT, 'Not Found')
}

/** The service for passwords of CloudStack: one that the guest has saved is not told again. */
function password(request: MetadataRequest, instance: ExoscaleInstance): MetadataResponse<ExoscaleInstance> {
  switch (headerValue(request.headers, 'DomU_Request')) {
    case 'send_my_password':
      return respond(200, TEXT, instance.isPasswordSaved ? 'saved_password' : instance.password)
    case 'saved_password':
      return { ...respond(200, TEXT, 'saved_password'), next: { ...instance, password: '', isPasswordSaved: true } }
    default:
      return respond(400, TEXT, 'bad_request')
  }
}

const treeOf = oncePerState((instance: ExoscaleInstance): Directory => {
  const [nic] = instance.interfaces
  const publicIpv4 = nic.publicIpv4 ?? nic.ipv4
  return rootDirectory({
    'meta-data': directory({
      'availability-zone': instance.zone,
      'cloud-identifier': 'CloudStack',
      'instance-id': instance.id,
      'local-hostname': instance.hostname,
      'local-ipv4': publicIpv4,
      'public-hostname': instance.hostname,
      'public-ipv4': publicIpv4,
      'public-keys': instance.sshKeys.map(({ openssh }) => openssh).join('\n'),
      'service-offering': instance.type,
      'vm-id': instance.id,
    }),
    'user-data': instance.userData === undefined ? undefined : '',
  })
})
