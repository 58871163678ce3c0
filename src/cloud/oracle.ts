import { refuseWrites, respond } from './answers.ts'
import type { Instance, NetworkInterface, Overrides } from './instance.ts'
import { commonInstance, completeInstance, derivedHex, derivedUuid, ipv4Subnet, type Refuse } from './instance-parts.ts'
import { isObject, type Json, type JsonObject, jsonAt, scalarText } from './json.ts'
import { decodePath } from './path.ts'
import {
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  PLAIN_DHCP,
  type Provider,
  type Setting,
} from './provider.ts'
import { pem, type Signer } from './signer.ts'

const IPV4 = '169.254.169.254'
const IPV6 = 'fd00:c1::a9fe:a9fe'
const TEXT = 'text/plain'
/** A request with one of these came through a proxy. */
const FORWARDED = ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host']

/** An instance of Oracle Cloud Infrastructure. `zone` is the availability domain. */
export interface OracleInstance extends Instance {
  readonly displayName: string
  readonly compartmentId: string
  readonly tenantId: string
  readonly faultDomain: string
  readonly state: 'Provisioning' | 'Running' | 'Stopping' | 'Terminating'
  /** Whether `/opc/v1` answers as well, without the header. */
  readonly hasLegacyEndpoints: boolean
}

/** Oracle Cloud Infrastructure. */
export const oracle = {
  name: 'oracle',
  title: 'Oracle Cloud Infrastructure',
  hwdb: {
    vendor: 'oracle-cloud-oci',
    match: 'dmi:*:catOracleCloud.com:*',
    dataUrl: `http://${IPV4}/opc/v2`,
    extraHeaders: ['Authorization: Bearer Oracle'],
    addressIpv4: IPV4,
    addressIpv6: IPV6,
    wellKnown: {
      hostname: '/instance/hostname',
      region: '/instance/region',
      zone: '/instance/availabilityDomain',
      'ssh-key': '/instance/metadata/ssh_authorized_keys',
      'userdata-base64': '/metadata/user_data',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: IPV6, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  secretHeaders: [],
  instance: oracleInstance,
  smbios: ({ id }: OracleInstance) => ({
    bios: { vendor: 'SeaBIOS', version: '1.16.1', releaseDate: '04/01/2014' },
    system: {
      manufacturer: 'QEMU',
      productName: 'Standard PC (i440FX + PIIX, 1996)',
      uuid: derivedUuid(`oracle ${id}`),
    },
    chassis: { manufacturer: 'QEMU', assetTag: 'OracleCloud.com' },
  }),
  answer,
} satisfies Provider<OracleInstance>

/** A whole instance. Region leads to the availability domain. */
export function oracleInstance(overrides: Overrides<OracleInstance> = {}): OracleInstance {
  const region = overrides.region ?? 'eu-frankfurt-1'
  const ocid = (kind: string) => `ocid1.${kind}.oc1..${derivedHex(`oracle ${kind}`, 60)}`
  const defaults: OracleInstance = {
    ...commonInstance({
      cloud: 'oracle',
      id: `ocid1.instance.oc1.${region}.${derivedHex('oracle instance', 60)}`,
      type: 'VM.Standard.E4.Flex',
      image: `ocid1.image.oc1.${region}.${derivedHex('oracle image', 60)}`,
      hostname: 'bootwright',
      region,
      zone: `BTWR:${region.toUpperCase()}-AD-1`,
      mac: '02:00:17:b0:07:01',
    }),
    displayName: 'bootwright',
    compartmentId: ocid('compartment'),
    tenantId: ocid('tenancy'),
    faultDomain: 'FAULT-DOMAIN-1',
    state: 'Running',
    hasLegacyEndpoints: false,
  }
  const rules = {
    id: { pattern: /^ocid1\.instance\.[\w.-]{1,240}$/, words: 'ocid1.instance.…' },
    maxUserDataBytes: 24_000,
  }
  return completeInstance('An instance of Oracle Cloud', defaults, overrides, rules, check)
}

/** All keys are lines of one value, so that they have no names. */
function check({ zone }: OracleInstance, refuse: Refuse): void {
  if (!zone.includes(':')) refuse(`an availability domain of prefix:name as zone, found "${zone}"`)
}

function answer(
  request: MetadataRequest,
  instance: OracleInstance,
  _nowMs: number,
  setting: Setting,
): MetadataResponse<OracleInstance> {
  const names = decodePath(request.path)
  if (names === undefined) return failure(400, 'Bad Request')
  if (FORWARDED.some((name) => headerValue(request.headers, name) !== undefined)) return failure(400, 'Bad Request')
  const [base, version, ...below] = names
  if (base !== 'opc' || (version !== 'v2' && !(version === 'v1' && instance.hasLegacyEndpoints))) {
    return failure(404, 'Not Found')
  }
  if (version === 'v2' && headerValue(request.headers, 'Authorization') !== 'Bearer Oracle') {
    return failure(401, 'Unauthorized')
  }
  const refusal = refuseWrites(request, 'text/html', page(405, 'Method Not Allowed'))
  if (refusal !== undefined) return refusal
  return valueAt(below.at(-1) === '' ? below.slice(0, -1) : below, instance, setting) ?? failure(404, 'Not Found')
}

function valueAt(
  names: readonly string[],
  instance: OracleInstance,
  { signer, hasHwdbPaths }: Setting,
): MetadataResponse<OracleInstance> | undefined {
  const [part, ...below] = names
  if (part === 'identity') return identity(below, instance, signer)
  const documents: Readonly<Record<string, Json>> = {
    instance: instanceDocument(instance),
    vnics: instance.interfaces.map((nic, index) => vnic(instance, nic, index)),
    ...(hasHwdbPaths ? { metadata: metadata(instance) } : {}),
  }
  const found = jsonAt(documents, names)
  if (found === undefined || part === undefined) return undefined
  const isLeaf = !isObject(found) && !Array.isArray(found)
  return isLeaf
    ? respond(200, TEXT, scalarText(found))
    : respond(200, 'application/json', JSON.stringify(found, null, 2))
}

/**
 * What instance principals authenticate with: a certificate of the instance, its key, and who certified it. Clients read in the
 * certificate whose instance it is.
 */
function identity(
  [file, more]: readonly string[],
  { id, compartmentId, tenantId }: OracleInstance,
  signer: Signer,
): MetadataResponse<OracleInstance> | undefined {
  if (more !== undefined) return undefined
  const { certificate, privateKey } = signer.identity(id.slice(0, 64), 'rsa', [
    'opc-certtype:instance',
    `opc-compartment:${compartmentId}`,
    `opc-instance:${id}`,
    `opc-tenant:${tenantId}`,
  ])
  switch (file) {
    case 'cert.pem':
      return respond(200, TEXT, pem(certificate))
    case 'key.pem':
      return respond(200, TEXT, privateKey.export({ type: 'pkcs1', format: 'pem' }).toString())
    case 'intermediate.pem':
      return respond(200, TEXT, pem(signer.authority.certificate))
    default:
      return undefined
  }
}

function metadata({ sshKeys, userData }: OracleInstance): JsonObject {
  return {
    ssh_authorized_keys: sshKeys.length === 0 ? undefined : sshKeys.map(({ openssh }) => openssh).join('\n'),
    user_data: userData === undefined ? undefined : Buffer.from(userData).toString('base64'),
  }
}

function instanceDocument(instance: OracleInstance): JsonObject {
  const { region, zone } = instance
  const [, , place = ''] = /^([a-z]+)-([a-z]+)-\d+$/.exec(region) ?? []
  return {
    agentConfig: { allPluginsDisabled: false, managementDisabled: false, monitoringDisabled: false },
    availabilityDomain: zone,
    canonicalRegionName: region,
    compartmentId: instance.compartmentId,
    definedTags: {},
    displayName: instance.displayName,
    faultDomain: instance.faultDomain,
    freeformTags: { ...instance.tags },
    hostname: instance.hostname,
    id: instance.id,
    image: instance.image,
    metadata: metadata(instance),
    ociAdName: `${region.split('-').slice(0, 2).join('-')}-1-ad-1`,
    region,
    regionInfo: {
      realmDomainComponent: 'oraclecloud.com',
      realmKey: 'oc1',
      regionIdentifier: region,
      regionKey: place.slice(0, 3).toUpperCase(),
    },
    shape: instance.type,
    shapeConfig: { maxVnicAttachments: 2, memoryInGBs: 16, networkingBandwidthInGbps: 1, ocpus: 1 },
    state: instance.state,
    tenantId: instance.tenantId,
    timeCreated: instance.startedAtMs,
  }
}

function vnic({ id }: OracleInstance, nic: NetworkInterface, index: number): JsonObject {
  const hasIpv6 = nic.ipv6.length > 0
  return {
    ipv6Addresses: hasIpv6 ? nic.ipv6 : undefined,
    ipv6SubnetCidrBlock: hasIpv6 ? nic.ipv6Subnet : undefined,
    macAddr: nic.mac,
    privateIp: nic.ipv4,
    subnetCidrBlock: nic.ipv4Subnet,
    virtualRouterIp: ipv4Subnet(nic.ipv4Subnet).gateway,
    vlanTag: 1000 + index,
    vnicId: `ocid1.vnic.oc1..${derivedHex(`${id} ${nic.mac}`, 60)}`,
  }
}

function failure(status: number, title: string): MetadataResponse<OracleInstance> {
  return respond(status, 'text/html', page(status, title))
}

function page(status: number, title: string): string {
  return `<html>\n<head><title>${status} ${title}</title></head>\n<body>\n<center><h1>${status} ${title}</h1></center>\n</body>\n</html>\n`
}
