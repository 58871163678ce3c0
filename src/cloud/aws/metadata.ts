import type { NetworkInterface } from '../instance.ts'
import { type Directory, directory, oncePerState, rootDirectory } from '../tree.ts'
import {
  fakeCredentials,
  iamInfo,
  identityCredentialsInfo,
  identityDocument,
  identityPkcs7,
  identitySignature,
  isoSeconds,
  maintenanceEvents,
} from './documents.ts'
import { type AwsInstance, derivedId, partition, privateDnsName, publicDnsName, servicesDomain } from './instance.ts'

/** Builds of the metadata service that EC2's user guide lists. Each serves the same tree here. */
export const AWS_VERSIONS = [
  '1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01 2008-09-01 2009-04-04 2011-01-01',
  '2011-05-01 2012-01-12 2014-02-25 2014-11-05 2015-10-20 2016-04-19 2016-06-30 2016-09-02 2018-03-28 2018-08-17',
  '2018-09-24 2019-10-01 2020-10-27 2021-01-03 2021-03-23 latest',
].flatMap((line) => line.split(' '))

/** Everything below the server's root. */
export const awsTree = oncePerState((instance: AwsInstance): Directory => {
  const version = directory(
    {
      dynamic: directory({
        fws: directory({ 'instance-monitoring': 'disabled' }),
        'instance-identity': directory({
          document: identityDocument(instance),
          pkcs7: (_nowMs, signer) => identityPkcs7(instance, signer, 'dsa'),
          rsa2048: (_nowMs, signer) => identityPkcs7(instance, signer, 'rsa'),
          signature: (_nowMs, signer) => identitySignature(instance, signer),
        }),
      }),
      'meta-data': metaData(instance),
      'user-data':
        instance.userData === undefined
          ? undefined
          : { bytes: instance.userData, contentType: 'application/octet-stream' },
    },
    nameOnly,
  )
  return rootDirectory(
    AWS_VERSIONS.map((name) => [name, version] as const),
    nameOnly,
  )
})

/** The two upper levels are listed without slashes. */
function nameOnly(name: string): string {
  return name
}

function metaData(instance: AwsInstance): Directory | undefined {
  const { region, role, interfaces, spotInterruption, rebalanceNoticeAtMs } = instance
  const [primary] = interfaces
  return directory({
    'ami-id': instance.image,
    'ami-launch-index': '0',
    'ami-manifest-path': '(unknown)',
    autoscaling: directory({ 'target-lifecycle-state': instance.targetLifecycleState }),
    'block-device-mapping': directory({ ami: '/dev/xvda', root: '/dev/xvda' }),
    events: directory({
      maintenance: directory({
        history: maintenanceEvents(instance, 'history'),
        scheduled: maintenanceEvents(instance, 'scheduled'),
      }),
      recommendations: directory({
        rebalance:
          rebalanceNoticeAtMs === undefined
            ? undefined
            : JSON.stringify({ noticeTime: isoSeconds(rebalanceNoticeAtMs) }),
      }),
    }),
    hostname: instance.hostname,
    iam:
      role === undefined
        ? undefined
        : directory({
            info: (nowMs) => iamInfo(instance, role, nowMs),
            'security-credentials': directory([[role, (nowMs: number) => fakeCredentials(instance, role, nowMs)]]),
          }),
    'identity-credentials': directory({
      ec2: directory({
        info: (nowMs) => identityCredentialsInfo(instance, nowMs),
        'security-credentials': directory({
          'ec2-instance': (nowMs) => fakeCredentials(instance, 'ec2-instance', nowMs),
        }),
      }),
    }),
    'instance-action': 'none',
    'instance-id': instance.id,
    'instance-life-cycle': instance.lifeCycle,
    'instance-type': instance.type,
    ipv6: primary.ipv6[0],
    'local-hostname': instance.hostname,
    'local-ipv4': primary.ipv4,
    mac: primary.mac,
    metrics: directory({ vhostmd: '<?xml version="1.0" encoding="UTF-8"?>' }),
    network: directory({
      interfaces: directory({
        macs: directory(interfaces.map((nic, index) => [nic.mac, networkInterface(instance, nic, index)])),
      }),
    }),
    placement: directory({
      'availability-zone': instance.zone,
      'availability-zone-id': instance.zoneId,
      region,
    }),
    profile: 'default-hvm',
    'public-hostname': primary.publicIpv4 === undefined ? undefined : publicDnsName(primary.publicIpv4, region),
    'public-ipv4': primary.publicIpv4,
    'public-keys': directory(
      instance.sshKeys.map(({ openssh }, index) => [`${index}`, directory({ 'openssh-key': openssh })]),
      (index) => `${index}=${instance.sshKeys[Number(index)]?.name ?? ''}`,
    ),
    'reservation-id': instance.reservationId,
    'security-groups': instance.securityGroups.map(({ name }) => name).join('\n'),
    services: directory({ domain: servicesDomain(region), partition: partition(region) }),
    spot:
      spotInterruption === undefined
        ? undefined
        : directory({
            'instance-action': JSON.stringify({
              action: spotInterruption.action,
              time: isoSeconds(spotInterruption.atMs),
            }),
            'termination-time': spotInterruption.action === 'terminate' ? isoSeconds(spotInterruption.atMs) : undefined,
          }),
    tags:
      instance.metadataOptions.instanceMetadataTags === 'enabled'
        ? directory({ instance: directory(Object.entries(instance.tags)) })
        : undefined,
  })
}

function networkInterface(instance: AwsInstance, nic: NetworkInterface, index: number): Directory | undefined {
  const { region, securityGroups } = instance
  const hasIpv6 = nic.ipv6.length > 0
  return directory({
    'device-number': `${index}`,
    'interface-id': derivedId('eni', `${instance.id} ${nic.mac}`),
    'ipv4-associations': nic.publicIpv4 === undefined ? undefined : directory([[nic.publicIpv4, nic.ipv4]]),
    ipv6s: hasIpv6 ? nic.ipv6.join('\n') : undefined,
    'local-hostname': index === 0 ? instance.hostname : privateDnsName(nic.ipv4, region),
    'local-ipv4s': nic.ipv4,
    mac: nic.mac,
    'network-card': '0',
    'network-card-index': '0',
    'owner-id': instance.accountId,
    'public-hostname': nic.publicIpv4 === undefined ? undefined : publicDnsName(nic.publicIpv4, region),
    'public-ipv4s': nic.publicIpv4,
    'security-group-ids': securityGroups.map(({ id }) => id).join('\n'),
    'security-groups': securityGroups.map(({ name }) => name).join('\n'),
    'subnet-id': instance.subnetId,
    'subnet-ipv4-cidr-block': nic.ipv4Subnet,
    'subnet-ipv6-cidr-blocks': hasIpv6 ? nic.ipv6Subnet : undefined,
    'vpc-id': instance.vpcId,
    'vpc-ipv4-cidr-block': instance.vpcIpv4Cidr,
    'vpc-ipv4-cidr-blocks': instance.vpcIpv4Cidr,
    'vpc-ipv6-cidr-blocks': hasIpv6 ? nic.ipv6Subnet : undefined,
  })
}
