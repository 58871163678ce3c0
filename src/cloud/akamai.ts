import { refuseWrites, respond } from './answers.ts'
import type { Instance, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedUuid, NUMBER } from './instance-parts.ts'
import { isObject, type Json, type JsonObject, scalarText } from './json.ts'
import {
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  PLAIN_DHCP,
  type Provider,
  type Setting,
} from './provider.ts'
import { issueToken, parseTtl, remainingSeconds, type TokenScope } from './tokens.ts'

const TEXT = 'text/plain; charset=utf-8'
const TOKEN_HEADER = 'Metadata-Token'
const TTL_HEADER = 'Metadata-Token-Expiry-Seconds'
const MAX_TTL_SECONDS = 86_400

/** A Linode of the Akamai Connected Cloud. */
export interface AkamaiInstance extends Instance {
  readonly hostUuid: string
  readonly accountId: string
  /** Raised to make all tokens that are out invalid. */
  readonly tokenGeneration: number
  /** In megabytes, as its documents say. */
  readonly memoryMb: number
  readonly vcpus: number
}

/** Akamai Connected Cloud, once Linode, which systemd's hwdb does not know. */
export const akamai = {
  name: 'akamai',
  title: 'Akamai Connected Cloud (Linode)',
  hwdb: undefined,
  endpoints: [{ name: 'metadata', ipv4: '169.254.169.254', ipv6: 'fd00:a9fe:a9fe::1', port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  hasPublicAddressOnCard: true,
  secretHeaders: [TOKEN_HEADER.toLowerCase()],
  instance: akamaiInstance,
  // The serial number of the baseboard could tell cloud-init which networks to leave alone; there are none.
  smbios: ({ id, hostUuid }: AkamaiInstance) => ({
    bios: { vendor: 'Akamai', version: '1.0', releaseDate: '01/01/2026' },
    system: { manufacturer: 'Akamai', productName: 'Compute Instance', serialNumber: id, uuid: hostUuid },
    chassis: { manufacturer: 'Akamai' },
  }),
  answer,
} satisfies Provider<AkamaiInstance>

/** A whole instance. There are no zones: `zone` is the region; the host name is the label. */
export function akamaiInstance(overrides: Overrides<AkamaiInstance> = {}): AkamaiInstance {
  const region = overrides.region ?? 'de-fra-2'
  const defaults: AkamaiInstance = {
    ...commonInstance({
      cloud: 'akamai',
      id: '70070070',
      type: 'g6-standard-1',
      image: 'private/bootwright',
      hostname: 'bootwright',
      region,
      zone: region,
      mac: 'f2:3c:95:b0:07:01',
    }),
    tags: { bootwright: '' },
    hostUuid: derivedUuid('akamai host'),
    accountId: derivedUuid('akamai account').toUpperCase(),
    tokenGeneration: 0,
    memoryMb: 2048,
    vcpus: 1,
  }
  const rules = { id: NUMBER, maxUserDataBytes: 16_384, maxInterfaces: 3 }
  return completeInstance('An instance of Akamai', defaults, overrides, rules, ({ zone }, refuse) => {
    if (zone !== region) refuse(`no zone besides its region ${region}, found "${zone}"`)
  })
}

function answer(
  request: MetadataRequest,
  instance: AkamaiInstance,
  nowMs: number,
  _setting: Setting,
): MetadataResponse<AkamaiInstance> {
  const scope: TokenScope = { service: 'akamai', instanceId: instance.id, generation: instance.tokenGeneration }
  const path = request.path.replace(/^\/(?:latest|v1)(?=\/)/, '')
  if (path === request.path) return respond(404, TEXT, 'Not found')
  if (path === '/token') {
    if (request.method !== 'PUT') return respond(405, TEXT, 'Method not allowed', [['Allow', 'PUT']])
    const seconds = parseTtl(headerValue(request.headers, TTL_HEADER), MAX_TTL_SECONDS)
    if (seconds === undefined) return respond(400, TEXT, `${TTL_HEADER} must be from 1 to ${MAX_TTL_SECONDS}`)
    return answered(request, [issueToken(scope, nowMs, seconds)])
  }
  const refusal = refuseWrites(request, TEXT, 'Method not allowed')
  if (refusal !== undefined) return refusal
  const token = headerValue(request.headers, TOKEN_HEADER)
  if (token === undefined || remainingSeconds(scope, token, nowMs) === undefined) {
    return respond(401, TEXT, 'Unauthorized')
  }
  if (path === '/user-data') {
    // Without any it is empty: for cloud-init, a 404 means that there is no metadata service.
    return respond(200, TEXT, Buffer.from(instance.userData ?? []).toString('base64'))
  }
  const document = DOCUMENTS.get(path)?.(instance)
  return document === undefined ? respond(404, TEXT, 'Not found') : answered(request, document)
}

const DOCUMENTS: ReadonlyMap<string, (instance: AkamaiInstance) => JsonObject> = new Map([
  ['/instance', instanceDocument],
  ['/network', networkDocument],
  ['/ssh-keys', ({ sshKeys }) => ({ users: { root: sshKeys.map(({ openssh }) => openssh) } })],
])

/** As JSON for who accepts that, else a line for each value, with its path in dots. */
function answered(request: MetadataRequest, document: Json): MetadataResponse<never> {
  const accepts = headerValue(request.headers, 'Accept') ?? ''
  if (/\bapplication\/json\b/.test(accepts)) return respond(200, 'application/json', JSON.stringify(document))
  const text = Array.isArray(document) ? document.map(scalarText).join('\n') : lines(document, '').join('\n')
  return respond(200, TEXT, text)
}

function lines(value: Json, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((element: Json) => lines(element, path))
  if (!isObject(value)) return [`${path}: ${scalarText(value)}`]
  return Object.entries(value).flatMap(([name, below]) => lines(below ?? null, path === '' ? name : `${path}.${name}`))
}

function instanceDocument(instance: AkamaiInstance): JsonObject {
  return {
    id: Number(instance.id),
    host_uuid: instance.hostUuid,
    label: instance.hostname,
    region: instance.region,
    type: instance.type,
    tags: Object.keys(instance.tags),
    specs: { vcpus: instance.vcpus, memory: instance.memoryMb, gpus: 0, transfer: 2000, disk: 51_200 },
    backups: { enabled: false, status: null },
    account_euuid: instance.accountId,
    image: { id: instance.image, label: 'bootwright' },
  }
}

function networkDocument({ interfaces: [nic, ...vlans] }: AkamaiInstance): JsonObject {
  const [ipv6] = nic.ipv6
  return {
    interfaces: vlans.map((vlan, at) => ({ label: `vlan-${at + 1}`, purpose: 'vlan', ipam_address: vlan.ipv4Subnet })),
    ipv4: { public: [`${nic.publicIpv4 ?? nic.ipv4}/32`], private: [], shared: [] },
    ipv6: { slaac: ipv6 === undefined ? null : `${ipv6}/128`, ranges: [], link_local: 'fe80::/128', shared_ranges: [] },
  }
}
