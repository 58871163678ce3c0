import { ipv4Subnet, userDataText } from '../instance-parts.ts'
import type { Json, JsonObject } from '../json.ts'
import type { GoogleInstance } from './instance.ts'

/** An integer beyond what JavaScript counts exactly, written as it is. */
function exact(digits: string): Json {
  return (JSON as unknown as { rawJSON(text: string): Json }).rawJSON(digits)
}

/** `instance/` and `project/` with the names of `?recursive=true`; the text tree is the same in dashes. */
export function googleDocument(instance: GoogleInstance): {
  readonly instance: JsonObject
  readonly project: JsonObject
  readonly universe: JsonObject
} {
  return {
    instance: instanceDocument(instance),
    project: {
      attributes: { ...instance.projectAttributes },
      numericProjectId: exact(instance.numericProjectId),
      projectId: instance.projectId,
    },
    universe: { universeDomain: 'googleapis.com' },
  }
}

function instanceDocument(instance: GoogleInstance): JsonObject {
  const { numericProjectId, zone, scheduling, guestAttributes } = instance
  const project = `projects/${numericProjectId}`
  return {
    attributes: attributes(instance),
    cpuPlatform: instance.cpuPlatform,
    description: instance.description,
    disks: [{ deviceName: 'persistent-disk-0', index: 0, interface: 'SCSI', mode: 'READ_WRITE', type: 'PERSISTENT' }],
    guestAttributes: guestAttributes as JsonObject | undefined,
    hostname: instance.hostname,
    id: exact(instance.id),
    image: instance.image,
    licenses: instance.licenses.map((id) => ({ id })),
    machineType: `${project}/machineTypes/${instance.type}`,
    maintenanceEvent: instance.maintenanceEvent,
    name: instance.name,
    networkInterfaces: instance.interfaces.map((nic) => {
      const { netmask, gateway } = ipv4Subnet(nic.ipv4Subnet)
      return {
        accessConfigs: [{ externalIp: nic.publicIpv4 ?? '', type: 'ONE_TO_ONE_NAT' }],
        dnsServers: ['169.254.169.254'],
        forwardedIps: [],
        forwardedIpv6s: [],
        gateway,
        ip: nic.ipv4,
        ipAliases: [],
        ipv6s: nic.ipv6.length > 0 ? nic.ipv6 : undefined,
        mac: nic.mac,
        mtu: 1460,
        network: `${project}/networks/default`,
        subnetmask: netmask,
        targetInstanceIps: [],
      }
    }),
    preempted: flag(instance.preempted),
    remainingCpuTime: -1,
    scheduling: {
      automaticRestart: flag(scheduling.automaticRestart),
      onHostMaintenance: scheduling.onHostMaintenance,
      preemptible: flag(scheduling.preemptible),
    },
    serviceAccounts: Object.fromEntries(
      instance.serviceAccounts.flatMap(({ email, scopes }, index): [string, Json][] => [
        ...(index === 0 ? [['default', { aliases: ['default'], email, scopes }] satisfies [string, Json]] : []),
        [email, { aliases: index === 0 ? ['default'] : [], email, scopes }],
      ]),
    ),
    tags: Object.keys(instance.tags),
    virtualClock: { driftToken: '0' },
    zone: `${project}/zones/${zone}`,
  }
}

/** The keys that guest agents look for, under what the caller set himself. */
function attributes(instance: GoogleInstance): JsonObject {
  const sshKeys = instance.sshKeys.map(({ name, openssh }) => `${name}:${openssh}`).join('\n')
  return {
    ...(sshKeys === '' ? {} : { 'ssh-keys': sshKeys }),
    ...(instance.userData === undefined ? {} : { 'user-data': userDataText(instance) }),
    ...instance.attributes,
  }
}

function flag(value: boolean): string {
  return value ? 'TRUE' : 'FALSE'
}
