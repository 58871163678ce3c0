import type { NetworkInterface } from '../instance.ts'
import { ipv4Subnet } from '../instance-parts.ts'
import type { JsonObject } from '../json.ts'
import type { AzureInstance } from './instance.ts'
import { computeOf } from './introduced.ts'

/** `/metadata/instance` in a version of the API: every value is text, and what is missing is empty. */
export function instanceDocument(instance: AzureInstance, version: string, hasHwdbPaths: boolean): JsonObject {
  return {
    compute: computeOf(version, compute(instance)),
    network: { interface: instance.interfaces.map((nic) => networkInterface(nic, hasHwdbPaths)) },
  }
}

function compute(instance: AzureInstance): JsonObject {
  const [publisher = '', offer = '', sku = '', version = ''] = instance.image.split(':')
  const { name, tags, resourceGroupName, subscriptionId, userData } = instance
  const scope = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroupName}/providers/Microsoft.Compute`
  return {
    azEnvironment: instance.environment,
    customData: '',
    evictionPolicy: instance.priority === 'Regular' ? '' : 'Deallocate',
    extendedLocation: { name: '', type: '' },
    host: { id: '' },
    hostGroup: { id: '' },
    isHostCompatibilityLayerVm: 'false',
    isVmInStandbyPool: '',
    licenseType: '',
    location: instance.region,
    name,
    offer,
    osProfile: {
      adminUsername: instance.adminUsername,
      computerName: instance.hostname,
      disablePasswordAuthentication: 'true',
    },
    osType: 'Linux',
    physicalZone: instance.physicalZone,
    placementGroupId: '',
    plan: { name: '', product: '', publisher: '' },
    platformFaultDomain: '0',
    platformSubFaultDomain: '',
    platformUpdateDomain: '0',
    priority: instance.priority,
    provider: 'Microsoft.Compute',
    publicKeys: instance.sshKeys.map(({ openssh }) => ({
      keyData: openssh,
      path: `/home/${instance.adminUsername}/.ssh/authorized_keys`,
    })),
    publisher,
    resourceGroupName,
    resourceId: `${scope}/virtualMachines/${name}`,
    securityProfile: {
      encryptionAtHost: 'false',
      secureBootEnabled: String(instance.secureBootEnabled),
      securityType: instance.virtualTpmEnabled ? 'TrustedLaunch' : '',
      virtualTpmEnabled: String(instance.virtualTpmEnabled),
    },
    sku,
    storageProfile: {
      dataDisks: [],
      imageReference: {
        communityGalleryImageId: '',
        exactVersion: version,
        id: '',
        offer,
        publisher,
        sharedGalleryImageId: '',
        sku,
        version,
      },
      osDisk: {
        caching: 'ReadWrite',
        createOption: 'FromImage',
        diffDiskSettings: { option: '' },
        diskSizeGB: '30',
        encryptionSettings: { enabled: 'false' },
        image: { uri: '' },
        managedDisk: { id: `${scope}/disks/${name}_OsDisk`, storageAccountType: 'Premium_LRS' },
        name: `${name}_OsDisk`,
        osType: 'Linux',
        vhd: { uri: '' },
        writeAcceleratorEnabled: 'false',
      },
      resourceDisk: { size: '16384' },
    },
    subscriptionId,
    tags: Object.entries(tags)
      .map(([key, value]) => `${key}:${value}`)
      .join(';'),
    tagsList: Object.entries(tags).map(([key, value]) => ({ name: key, value })),
    userData: userData === undefined ? '' : Buffer.from(userData).toString('base64'),
    version,
    virtualMachineScaleSet: { id: '' },
    vmId: instance.id,
    vmScaleSetName: '',
    vmSize: instance.type,
    zone: instance.zone,
  }
}

/** systemd's hwdb looks for a public address of IPv6 beside the private one, where the documented answers have none. */
function networkInterface(nic: NetworkInterface, hasHwdbPaths: boolean): JsonObject {
  const { network, length } = ipv4Subnet(nic.ipv4Subnet)
  return {
    ipv4: {
      ipAddress: [{ privateIpAddress: nic.ipv4, publicIpAddress: nic.publicIpv4 ?? '' }],
      subnet: [{ address: network, prefix: String(length) }],
    },
    ipv6: {
      ipAddress: nic.ipv6.map((address) => ({
        privateIpAddress: address,
        ...(hasHwdbPaths ? { publicIpAddress: address } : {}),
      })),
    },
    macAddress: nic.mac.replaceAll(':', '').toUpperCase(),
  }
}

/** `/metadata/loadbalancer`: the public addresses that lead to the instance. */
export function loadBalancerDocument(instance: AzureInstance): JsonObject {
  return {
    loadbalancer: {
      publicIpAddresses: instance.interfaces.flatMap(({ ipv4, publicIpv4 }) =>
        publicIpv4 === undefined ? [] : [{ frontendIpAddress: publicIpv4, privateIpAddress: ipv4 }],
      ),
      inboundRules: [],
      outboundRules: [],
    },
  }
}

/** `/metadata/scheduledevents`. */
export function scheduledEventsDocument({ documentIncarnation, scheduledEvents, name }: AzureInstance): JsonObject {
  return {
    DocumentIncarnation: documentIncarnation,
    Events: scheduledEvents.map((event) => ({
      EventId: event.eventId,
      EventStatus: event.eventStatus,
      EventType: event.eventType,
      ResourceType: 'VirtualMachine',
      Resources: [name],
      NotBefore: event.eventStatus === 'Started' ? '' : new Date(event.notBeforeMs).toUTCString(),
      Description: event.description,
      EventSource: event.eventSource,
      DurationInSeconds: event.durationInSeconds,
    })),
  }
}
