import { createHash } from 'node:crypto'
import { type AwsInstance, awsInstance } from './aws/instance.ts'
import { answerAws, TOKEN_HEADER, TOKEN_PATH, TTL_HEADER } from './aws/protocol.ts'
import { PLAIN_DHCP, type Provider } from './provider.ts'
import type { CloudSmbios } from './smbios.ts'

const IPV4 = '169.254.169.254'
const IPV6 = 'fd00:ec2::254'

/** Amazon EC2 on the Nitro hypervisor. Instances on Xen look different, and systemd does not recognise them. */
export const aws = {
  name: 'aws',
  title: 'Amazon EC2',
  hwdb: {
    vendor: 'amazon-ec2',
    match: 'dmi:bvnAmazonEC2:*',
    dataUrl: `http://${IPV4}/latest`,
    tokenUrl: `http://${IPV4}${TOKEN_PATH}`,
    refreshHeaderName: TTL_HEADER,
    tokenHeaderName: TOKEN_HEADER,
    addressIpv4: IPV4,
    addressIpv6: IPV6,
    wellKnown: {
      hostname: '/meta-data/hostname',
      region: '/meta-data/placement/region',
      zone: '/meta-data/placement/availability-zone',
      'ipv4-public': '/meta-data/public-ipv4',
      'ipv6-public': '/meta-data/ipv6',
      'ssh-key': '/meta-data/public-keys/0/openssh-key',
      userdata: '/user-data',
    },
  },
  endpoints: [{ name: 'imds', ipv4: IPV4, ipv6: IPV6, port: 80 }],
  dnsNames: [],
  dhcp: PLAIN_DHCP,
  secretHeaders: [TOKEN_HEADER.toLowerCase()],
  instance: awsInstance,
  smbios,
  answer: answerAws,
} satisfies Provider<AwsInstance>

/** cloud-init looks for `ec2` at the start of UUID and serial number, systemd for the vendor of the BIOS. */
function smbios(instance: AwsInstance): CloudSmbios {
  const uuid = ec2Uuid(instance.id)
  return {
    bios: { vendor: 'Amazon EC2', version: '1.0', releaseDate: '10/16/2017' },
    system: { manufacturer: 'Amazon EC2', productName: instance.type, serialNumber: uuid, uuid },
    baseboard: { manufacturer: 'Amazon EC2', assetTag: instance.id },
    chassis: { manufacturer: 'Amazon EC2', assetTag: 'Amazon EC2' },
  }
}

/** A UUID of version 4 that starts with `ec2`, always the same for the same instance. */
function ec2Uuid(instanceId: string): string {
  const hex = createHash('sha256').update(instanceId).digest('hex')
  return `ec2${hex.slice(0, 5)}-${hex.slice(5, 9)}-4${hex.slice(9, 12)}-8${hex.slice(12, 15)}-${hex.slice(15, 27)}`
}
