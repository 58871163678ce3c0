import { type GoogleInstance, googleInstance } from './google/instance.ts'
import { answerGoogle } from './google/protocol.ts'
import type { Overrides } from './instance.ts'
import { derivedHex } from './instance-parts.ts'
import type { Provider } from './provider.ts'
import type { CloudSmbios } from './smbios.ts'

const IPV4 = '169.254.169.254'
/** systemd leaves `user-data` to cloud-init. */
const SYSTEMD_ATTRIBUTE = 'systemd-userdata'

/** Google Compute Engine. */
export const google = {
  name: 'google',
  title: 'Google Compute Engine',
  hwdb: {
    vendor: 'google-gcp',
    match: 'dmi:*:pnGoogleComputeEngine:*',
    dataUrl: `http://${IPV4}/computeMetadata/v1`,
    extraHeaders: ['Metadata-Flavor: Google'],
    addressIpv4: IPV4,
    wellKnown: {
      hostname: '/instance/hostname',
      region: '/instance/region',
      zone: '/instance/zone',
      'ipv4-public': '/instance/network-interfaces/0/access-configs/0/external-ip',
      'userdata-base': '/instance/attributes',
    },
  },
  endpoints: [{ name: 'metadata', ipv4: IPV4, ipv6: undefined, port: 80 }],
  dnsNames: ['metadata.google.internal', 'metadata'],
  // The network of Compute Engine carries 1460 bytes (option 26 is the MTU); its gateway is the metadata server.
  dhcp: { options: [{ code: 26, value: '1460' }], hostRoutes: [] },
  secretHeaders: [],
  instance: googleInstance,
  smbios,
  systemdUserData: {
    give: (userData: Uint8Array): Overrides<GoogleInstance> => ({
      attributes: { [SYSTEMD_ATTRIBUTE]: Buffer.from(userData).toString() },
    }),
    take: ({ attributes }: GoogleInstance) =>
      attributes[SYSTEMD_ATTRIBUTE] === undefined ? undefined : Buffer.from(attributes[SYSTEMD_ATTRIBUTE]),
  },
  answer: answerGoogle,
} satisfies Provider<GoogleInstance>

function smbios(instance: GoogleInstance): CloudSmbios {
  const serial = derivedHex(instance.id, 32).toUpperCase()
  const uuid = serial.toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return {
    bios: { vendor: 'Google', version: 'Google', releaseDate: '01/01/2026' },
    system: {
      manufacturer: 'Google',
      productName: 'Google Compute Engine',
      serialNumber: `GoogleCloud-${serial}`,
      uuid,
    },
    baseboard: { manufacturer: 'Google', product: 'Google Compute Engine' },
    chassis: { manufacturer: 'Google' },
  }
}
