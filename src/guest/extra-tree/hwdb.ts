/** What the hardware database says of a cloud: by which machine it is known, and how its metadata are asked for. */
interface HwdbCloud {
  readonly vendor: string
  /** Behind the data URL, by field. */
  readonly keys: Readonly<Record<string, string>>
  readonly match: string
  readonly properties: Readonly<Record<string, string>>
}

const EC2 = 'http://169.254.169.254'
const ALIBABA = 'http://100.100.100.200/latest'
const EC2_KEYS = {
  HOSTNAME: '/meta-data/hostname',
  SSH_KEY: '/meta-data/public-keys/0/openssh-key',
  USERDATA: '/user-data',
}

/** As systemd 261 and later have them, for those before. */
const CLOUDS: readonly HwdbCloud[] = [
  {
    vendor: 'amazon-ec2',
    match: 'dmi:bvnAmazonEC2:*',
    properties: {
      DATA_URL: `${EC2}/latest`,
      TOKEN_URL: `${EC2}/latest/api/token`,
      REFRESH_HEADER_NAME: 'X-aws-ec2-metadata-token-ttl-seconds',
      TOKEN_HEADER_NAME: 'X-aws-ec2-metadata-token',
      ADDRESS_IPV4: '169.254.169.254',
      ADDRESS_IPV6: 'fd00:ec2::254',
    },
    keys: {
      ...EC2_KEYS,
      REGION: '/meta-data/placement/region',
      ZONE: '/meta-data/placement/availability-zone',
      IPV4_PUBLIC: '/meta-data/public-ipv4',
      IPV6_PUBLIC: '/meta-data/ipv6',
    },
  },
  {
    vendor: 'microsoft-azure',
    match: 'dmi:*:cat7783-7084-3265-9085-8269-3286-77:*',
    properties: {
      DATA_URL: `${EC2}/metadata`,
      DATA_URL_SUFFIX: '?api-version=2025-04-07&format=text',
      EXTRA_HEADER: 'Metadata: true',
      ADDRESS_IPV4: '169.254.169.254',
    },
    keys: {
      HOSTNAME: '/instance/compute/osProfile/computerName',
      REGION: '/instance/compute/location',
      ZONE: '/instance/compute/physicalZone',
      IPV4_PUBLIC: '/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress',
      IPV6_PUBLIC: '/instance/network/interface/0/ipv6/ipAddress/0/publicIpAddress',
      SSH_KEY: '/instance/compute/publicKeys/0/keyData',
      USERDATA_BASE64: '/instance/compute/userData',
    },
  },
  {
    vendor: 'google-gcp',
    match: 'dmi:*:pnGoogleComputeEngine:*',
    properties: {
      DATA_URL: `${EC2}/computeMetadata/v1`,
      EXTRA_HEADER: 'Metadata-Flavor: Google',
      ADDRESS_IPV4: '169.254.169.254',
    },
    keys: {
      HOSTNAME: '/instance/hostname',
      REGION: '/instance/region',
      ZONE: '/instance/zone',
      IPV4_PUBLIC: '/instance/network-interfaces/0/access-configs/0/external-ip',
      USERDATA_BASE: '/instance/attributes',
    },
  },
  {
    vendor: 'hetzner-cloud',
    match: 'dmi:bvnHetzner:*',
    properties: { DATA_URL: `${EC2}/hetzner/v1/metadata`, ADDRESS_IPV4: '169.254.169.254' },
    keys: {
      HOSTNAME: '/hostname',
      REGION: '/region',
      ZONE: '/availability-zone',
      IPV4_PUBLIC: '/public-ipv4',
      SSH_KEY: '/public-keys/0',
      USERDATA: '/userdata',
    },
  },
  {
    vendor: 'oracle-cloud-oci',
    match: 'dmi:*:catOracleCloud.com:*',
    properties: {
      DATA_URL: `${EC2}/opc/v2`,
      EXTRA_HEADER: 'Authorization: Bearer Oracle',
      ADDRESS_IPV4: '169.254.169.254',
      ADDRESS_IPV6: 'fd00:c1::a9fe:a9fe',
    },
    keys: {
      HOSTNAME: '/instance/hostname',
      REGION: '/instance/region',
      ZONE: '/instance/availabilityDomain',
      SSH_KEY: '/instance/metadata/ssh_authorized_keys',
      USERDATA_BASE64: '/metadata/user_data',
    },
  },
  {
    vendor: 'scaleway',
    match: 'dmi:*:svnScaleway:*',
    properties: { DATA_URL: 'http://169.254.42.42', ADDRESS_IPV4: '169.254.42.42', ADDRESS_IPV6: 'fd00:42::42' },
    keys: { USERDATA: '/user_data' },
  },
  {
    vendor: 'tencent-cloud',
    match: 'dmi:*:svnTencentCloud:*',
    properties: { DATA_URL: 'http://metadata.tencentyun.com' },
    keys: {
      ...EC2_KEYS,
      REGION: '/meta-data/placement/region',
      ZONE: '/meta-data/placement/zone',
      IPV4_PUBLIC: '/meta-data/public-ipv4',
    },
  },
  {
    vendor: 'alibaba-ecs',
    match: 'dmi:*:svnAlibabaCloud:*',
    properties: {
      DATA_URL: ALIBABA,
      TOKEN_URL: `${ALIBABA}/api/token`,
      REFRESH_HEADER_NAME: 'X-aliyun-ecs-metadata-token-ttl-seconds',
      TOKEN_HEADER_NAME: 'X-aliyun-ecs-metadata-token',
      ADDRESS_IPV4: '100.100.100.200',
    },
    keys: { ...EC2_KEYS, REGION: '/meta-data/region-id', ZONE: '/meta-data/zone-id', IPV4_PUBLIC: '/meta-data/eipv4' },
  },
  {
    vendor: 'vultr',
    match: 'dmi:bvnVultr:*',
    properties: { DATA_URL: EC2, ADDRESS_IPV4: '169.254.169.254' },
    keys: {
      HOSTNAME: '/v1/hostname',
      REGION: '/v1/region/regioncode',
      IPV4_PUBLIC: '/v1/interfaces/0/ipv4/address',
      IPV6_PUBLIC: '/v1/interfaces/0/ipv6/address',
      SSH_KEY: '/v1/public-keys',
      USERDATA: '/user-data/user-data',
    },
  },
]

/** The clouds as a file of `hwdb.d` (hwdb(7)), under the name that systemd's own has where there is one. */
export const HWDB: Readonly<Record<string, string>> = {
  'usr/lib/udev/hwdb.d/40-imds.hwdb': CLOUDS.map(({ vendor, match, properties, keys }) => {
    const all = Object.entries({ VENDOR: vendor, ...properties }).map(([name, value]) => ` IMDS_${name}=${value}\n`)
    const paths = Object.entries(keys).map(([name, path]) => ` IMDS_KEY_${name}=${path}\n`)
    return `${match}\n${all.join('')}${paths.join('')}`
  }).join('\n'),
}
