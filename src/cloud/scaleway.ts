import { respond } from './answers.ts'
import type { Instance, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedUuid, type Refuse, UUID } from './instance-parts.ts'
import { isObject, type Json, type JsonObject, members, scalarText } from './json.ts'
import { decodePath, decodeQuery } from './path.ts'
import { type MetadataRequest, type MetadataResponse, PLAIN_DHCP, type Provider, type Setting } from './provider.ts'

const IPV4 = '169.254.42.42'
const IPV6 = 'fd00:42::42'
const ROUTER = '62.210.0.1'
const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json'
/** Only root can send from a port below. */
const PRIVILEGED_PORTS = 1024
const MAX_USER_DATA_BYTES = 131_072

/** An instance of Scaleway. The common `userData` is the one for cloud-init. */
export interface ScalewayInstance extends Instance {
  readonly organizationId: string
  readonly projectId: string
  /** User data under other keys than `cloud-init`; the guest can write them. */
  readonly otherUserData: Readonly<Record<string, string>>
  readonly vendorData: string | undefined
  /** What the guest said of its boot. */
  readonly state: string
}

/** Scaleway. */
export const scaleway = {
  name: 'scaleway',
  title: 'Scaleway',
  hwdb: {
    vendor: 'scaleway',
    match: 'dmi:*:svnScaleway:*',
    dataUrl: `http://${IPV4}`,
    addressIpv4: IPV4,
    addressIpv6: IPV6,
    wellKnown: { userdata: '/user_data' },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: IPV6, port: 80 }],
  dnsNames: [],
  // cloud-init sends what is for the metadata service there without being told.
  dhcp: { ...PLAIN_DHCP, router: ROUTER },
  hasPublicAddressOnCard: true,
  secretHeaders: [],
  instance: scalewayInstance,
  smbios: ({ id, type }: ScalewayInstance) => ({
    bios: { vendor: 'EFI Development Kit II / OVMF', version: '0.0.0', releaseDate: '02/06/2015' },
    system: { manufacturer: 'Scaleway', productName: `SCW-${type}`, uuid: id },
    chassis: { manufacturer: 'Scaleway' },
  }),
  answer,
} satisfies Provider<ScalewayInstance>

/** A whole instance. Zone leads to region, and the other way round. */
export function scalewayInstance(overrides: Overrides<ScalewayInstance> = {}): ScalewayInstance {
  const zone = overrides.zone ?? `${overrides.region ?? 'fr-par'}-1`
  const defaults: ScalewayInstance = {
    ...commonInstance({
      cloud: 'scaleway',
      id: derivedUuid('scaleway server'),
      type: 'DEV1-S',
      image: derivedUuid('scaleway image'),
      hostname: 'bootwright',
      region: zone.replace(/-\d+$/, ''),
      zone,
      mac: 'de:00:00:b0:07:01',
    }),
    tags: { bootwright: '' },
    organizationId: derivedUuid('scaleway organization'),
    projectId: derivedUuid('scaleway project'),
    otherUserData: {},
    vendorData: undefined,
    state: 'starting',
  }
  const rules = { id: UUID, maxUserDataBytes: MAX_USER_DATA_BYTES, maxInterfaces: 9 }
  return completeInstance('An instance of Scaleway', defaults, overrides, rules, check)
}

function check({ tags, otherUserData, zone, region }: ScalewayInstance, refuse: Refuse): void {
  if (!zone.startsWith(`${region}-`)) refuse(`a zone of its region ${region}, found "${zone}"`)
  for (const [tag, value] of Object.entries(tags)) {
    if (value !== '' || !/^[\x21-\x7e]+$/.test(tag)) refuse(`tags, which have no value nor blanks, found "${tag}"`)
  }
  for (const key of Object.keys(otherUserData)) {
    if (!/^[\w-]+$/.test(key) || key === 'cloud-init') refuse(`keys of user data besides cloud-init, found "${key}"`)
  }
}

function answer(
  request: MetadataRequest,
  instance: ScalewayInstance,
  _nowMs: number,
  { hasHwdbPaths }: Setting,
): MetadataResponse<ScalewayInstance> {
  const names = decodePath(request.path.replace(/(?<=.)\/$/, ''))
  const query = decodeQuery(request.query)
  if (names === undefined || query === undefined) return failure(400, 'invalid_request')
  const [top, key, more] = names
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (more !== undefined) return failure(404, 'unknown_resource')
  switch (top) {
    case '':
      // cloud-init asks for the root to see whether the service is there.
      return isRead ? respond(200, JSON_TYPE, '{}') : failure(405, 'method_not_allowed')
    case 'conf':
      if (key !== undefined) return failure(404, 'unknown_resource')
      if (!isRead) return failure(405, 'method_not_allowed')
      return query.some(([name, value]) => name === 'format' && value === 'json')
        ? respond(200, JSON_TYPE, JSON.stringify(conf(instance)))
        : respond(200, TEXT, shellLines(conf(instance)))
    case 'user_data':
      if (request.peer.port >= PRIVILEGED_PORTS) return failure(403, 'permissions_denied')
      return last(userData(request, instance, key, hasHwdbPaths))
    case 'vendor_data': {
      if (!isRead) return failure(405, 'method_not_allowed')
      const isThere = key === 'cloud-init' && instance.vendorData !== undefined
      return last(isThere ? respond(200, TEXT, instance.vendorData ?? '') : failure(404, 'unknown_resource'))
    }
    case 'state':
      return key === undefined ? takeState(request, instance) : failure(404, 'unknown_resource')
    default:
      return failure(404, 'unknown_resource')
  }
}

function userData(
  request: MetadataRequest,
  instance: ScalewayInstance,
  key: string | undefined,
  hasHwdbPaths: boolean,
): MetadataResponse<ScalewayInstance> {
  const { otherUserData } = instance
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (key === undefined) {
    if (!isRead) return failure(405, 'method_not_allowed')
    // systemd takes for the user data itself what is the list of its keys.
    if (hasHwdbPaths && instance.userData !== undefined) return respond(200, TEXT, instance.userData)
    const keys = [...(instance.userData === undefined ? [] : ['cloud-init']), ...Object.keys(otherUserData)]
    return respond(200, JSON_TYPE, JSON.stringify({ user_data: keys.toSorted() }))
  }
  const found = key === 'cloud-init' ? instance.userData : own(otherUserData, key)
  if (request.method === 'PATCH') {
    if (!/^[\w-]+$/.test(key)) return failure(400, 'invalid_arguments')
    if (request.body.length > MAX_USER_DATA_BYTES) return failure(413, 'too_large')
    return nothing(
      key === 'cloud-init'
        ? { ...instance, userData: request.body }
        : { ...instance, otherUserData: { ...otherUserData, [key]: Buffer.from(request.body).toString() } },
    )
  }
  if (found === undefined) return failure(404, 'unknown_resource')
  if (request.method === 'DELETE') {
    const { [key]: _deleted, ...rest } = otherUserData
    return nothing(key === 'cloud-init' ? { ...instance, userData: undefined } : { ...instance, otherUserData: rest })
  }
  return isRead ? respond(200, TEXT, found) : failure(405, 'method_not_allowed')
}

/** `{"state_detail": "booted"}` */
function takeState(request: MetadataRequest, instance: ScalewayInstance): MetadataResponse<ScalewayInstance> {
  if (request.method !== 'PATCH' && request.method !== 'POST') return failure(405, 'method_not_allowed')
  try {
    const { state_detail: state } = JSON.parse(Buffer.from(request.body).toString())
    return typeof state === 'string' ? nothing({ ...instance, state }) : failure(400, 'invalid_arguments')
  } catch {
    return failure(400, 'invalid_arguments')
  }
}

function conf(instance: ScalewayInstance): JsonObject {
  const [nic] = instance.interfaces
  const publicIp = (address: string, family: string, netmask: string, via: string): Json => ({
    id: derivedUuid(`scaleway ip ${address}`),
    address,
    dynamic: false,
    family,
    gateway: via,
    netmask,
    provisioning_mode: family === 'inet' ? 'dhcp' : 'slaac',
  })
  const ips = [
    ...(nic.publicIpv4 === undefined ? [] : [publicIp(nic.publicIpv4, 'inet', '32', ROUTER)]),
    ...nic.ipv6.map((address) => publicIp(address, 'inet6', nic.ipv6Subnet?.split('/')[1] ?? '64', 'fe80::1')),
  ]
  return {
    tags: Object.keys(instance.tags),
    state_detail: instance.state,
    public_ip: ips[0] ?? null,
    public_ips_v4: ips.filter((ip) => isObject(ip) && ip.family === 'inet'),
    public_ips_v6: ips.filter((ip) => isObject(ip) && ip.family === 'inet6'),
    public_ips: ips,
    private_ip: nic.publicIpv4 === nic.ipv4 ? null : nic.ipv4,
    ipv6: null,
    hostname: instance.hostname,
    name: instance.hostname,
    id: instance.id,
    organization: instance.organizationId,
    project: instance.projectId,
    commercial_type: instance.type,
    ssh_public_keys: instance.sshKeys.map(({ openssh, name }) => ({ key: openssh, description: name })),
    location: { zone_id: instance.zone, platform_id: '1', cluster_id: '1', hypervisor_id: '1', node_id: '1' },
    zone: instance.zone,
    volumes: {
      '0': {
        id: derivedUuid(`scaleway volume ${instance.id}`),
        name: 'root',
        size: 20_000_000_000,
        volume_type: 'b_ssd',
      },
    },
    bootscript: null,
    vpc: null,
    private_nics: [],
    timezone: 'UTC',
  }
}

/** `KEY=value` for shells: lists have their number first, then an element a line. */
function shellLines(document: JsonObject): string {
  const lines: string[] = []
  const walk = (prefix: string, value: Json): void => {
    if (typeof value !== 'object' || value === null) {
      const text = scalarText(value)
      lines.push(`${prefix}=${/^[\w./:@+-]*$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`}`)
      return
    }
    const entries = members(value)
    lines.push(
      `${prefix}=${Array.isArray(value) ? entries.length : `'${entries.map(([name]) => name.toUpperCase()).join(' ')}'`}`,
    )
    for (const [name, child] of entries) walk(`${prefix}_${name.toUpperCase()}`, child)
  }
  for (const [name, value] of members(document)) walk(name.toUpperCase(), value)
  return `${lines.join('\n')}\n`
}

function own(record: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}

/** Ends the connection: clients send their next request from the same port. */
function last(answer: MetadataResponse<ScalewayInstance>): MetadataResponse<ScalewayInstance> {
  return { ...answer, headers: [...answer.headers, ['Connection', 'close']] }
}

function nothing(next: ScalewayInstance): MetadataResponse<ScalewayInstance> {
  return { status: 204, headers: [], body: new Uint8Array(), next }
}

function failure(status: number, type: string): MetadataResponse<ScalewayInstance> {
  return respond(status, JSON_TYPE, JSON.stringify({ message: type.replaceAll('_', ' '), type }))
}
