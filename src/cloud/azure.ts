import { type AzureInstance, azureInstance } from './azure/instance.ts'
import { answerMetadata } from './azure/protocol.ts'
import { answerHostPlugin, answerWireServer, WIRE_SERVER_IPV4 } from './azure/wire-server.ts'
import type { MetadataRequest, MetadataResponse, Provider, Setting } from './provider.ts'
import type { CloudSmbios } from './smbios.ts'

const IPV4 = '169.254.169.254'
const WIRE_SERVER = 'wire-server'
const HOST_PLUGIN = 'host-plugin'
const ASSET_TAG = '7783-7084-3265-9085-8269-3286-77'

/** Microsoft Azure: the metadata service, and the wire server beside it. */
export const azure = {
  name: 'azure',
  title: 'Microsoft Azure',
  hwdb: {
    vendor: 'microsoft-azure',
    match: `dmi:*:cat${ASSET_TAG}:*`,
    dataUrl: `http://${IPV4}/metadata`,
    dataUrlSuffix: '?api-version=2025-04-07&format=text',
    extraHeaders: ['Metadata: true'],
    addressIpv4: IPV4,
    wellKnown: {
      hostname: '/instance/compute/osProfile/computerName',
      region: '/instance/compute/location',
      zone: '/instance/compute/physicalZone',
      'ipv4-public': '/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress',
      'ipv6-public': '/instance/network/interface/0/ipv6/ipAddress/0/publicIpAddress',
      'ssh-key': '/instance/compute/publicKeys/0/keyData',
      'userdata-base64': '/instance/compute/userData',
    },
  },
  endpoints: [
    { name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 },
    { name: WIRE_SERVER, ipv4: WIRE_SERVER_IPV4, ipv6: undefined, port: 80 },
    { name: HOST_PLUGIN, ipv4: WIRE_SERVER_IPV4, ipv6: undefined, port: 32526 },
  ],
  dnsNames: [],
  dhcp: { options: [{ code: 245, value: WIRE_SERVER_IPV4 }], hostRoutes: [WIRE_SERVER_IPV4, IPV4] },
  secretHeaders: [],
  instance: azureInstance,
  smbios,
  answer,
} satisfies Provider<AzureInstance>

function answer(
  request: MetadataRequest,
  instance: AzureInstance,
  nowMs: number,
  setting: Setting,
): MetadataResponse<AzureInstance> {
  if (request.endpoint === WIRE_SERVER) return answerWireServer(request, instance)
  if (request.endpoint === HOST_PLUGIN) return answerHostPlugin(request)
  return answerMetadata(request, instance, nowMs, setting)
}

function smbios(instance: AzureInstance): CloudSmbios {
  return {
    bios: { vendor: 'Microsoft Corporation', version: 'Hyper-V UEFI Release v4.1', releaseDate: '01/01/2026' },
    system: {
      manufacturer: 'Microsoft Corporation',
      productName: 'Virtual Machine',
      version: 'Hyper-V UEFI Release v4.1',
      uuid: instance.id,
    },
    baseboard: { manufacturer: 'Microsoft Corporation', product: 'Virtual Machine' },
    chassis: { manufacturer: 'Microsoft Corporation', assetTag: ASSET_TAG },
  }
}
