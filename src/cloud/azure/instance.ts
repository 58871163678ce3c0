import type { Instance, Overrides } from '../instance.ts'
import {
  commonInstance,
  completeInstance,
  derivedUuid,
  type InstanceRules,
  type Refuse,
  UUID,
} from '../instance-parts.ts'

export interface AzureScheduledEvent {
  readonly eventId: string
  readonly eventType: 'Freeze' | 'Reboot' | 'Redeploy' | 'Preempt' | 'Terminate'
  readonly eventStatus: 'Scheduled' | 'Started'
  readonly notBeforeMs: number
  readonly description: string
  readonly eventSource: 'Platform' | 'User'
  readonly durationInSeconds: number
}

export interface AzureIdentity {
  readonly clientId: string
  readonly objectId: string
  readonly resourceId: string
}

/** A virtual machine of Azure: the common facts, and those that only Azure has. */
export interface AzureInstance extends Instance {
  /** Name of the resource; that of the system is the common `hostname`. */
  readonly name: string
  readonly resourceGroupName: string
  readonly subscriptionId: string
  readonly tenantId: string
  readonly adminUsername: string
  readonly physicalZone: string
  readonly environment: 'AzurePublicCloud' | 'AzureUSGovernmentCloud' | 'AzureChinaCloud' | 'AzureStack'
  readonly priority: 'Regular' | 'Spot' | 'Low'
  readonly secureBootEnabled: boolean
  readonly virtualTpmEnabled: boolean
  /** The first is the one that is meant when none is named: system-assigned. */
  readonly identities: readonly AzureIdentity[]
  readonly scheduledEvents: readonly AzureScheduledEvent[]
  /** Goes up with each change of the scheduled events. */
  readonly documentIncarnation: number
  /** That of the goal state at the wire server. */
  readonly incarnation: number
  /** What the guest reported of itself at the wire server. */
  readonly health: { readonly state: string; readonly subStatus: string; readonly description: string } | undefined
  /** Answers 429 to what is more in a second (the real service: 5); undefined sets no limit. */
  readonly requestsPerSecond: number | undefined
  /** When the requests of the last second came. */
  readonly recentRequestsMs: readonly number[]
}

/** Azure's user data is at most 64 KB, before base64. */
const MAX_USER_DATA_BYTES = 65_536

const RULES: InstanceRules = { id: UUID, maxUserDataBytes: MAX_USER_DATA_BYTES, maxInterfaces: 8 }

/** A whole virtual machine. Region leads to the zones. `image` is `publisher:offer:sku:version`. */
export function azureInstance(overrides: Overrides<AzureInstance> = {}): AzureInstance {
  const region = overrides.region ?? 'westeurope'
  const zone = overrides.zone ?? '1'
  const subscriptionId = overrides.subscriptionId ?? derivedUuid('azure subscription')
  const defaults: AzureInstance = {
    ...commonInstance({
      cloud: 'azure',
      id: derivedUuid('azure virtual machine'),
      type: 'Standard_D2s_v5',
      image: 'bootwright:images:cloud:1.0.0',
      hostname: overrides.name ?? 'bootwright',
      region,
      zone,
      mac: '00:0d:3a:b0:07:01',
    }),
    name: 'bootwright',
    resourceGroupName: 'bootwright',
    subscriptionId,
    tenantId: derivedUuid('azure tenant'),
    adminUsername: 'azureuser',
    physicalZone: `${region}-AZ${zone}`,
    environment: 'AzurePublicCloud',
    priority: 'Regular',
    secureBootEnabled: false,
    virtualTpmEnabled: true,
    identities: [
      {
        clientId: derivedUuid('azure identity client'),
        objectId: derivedUuid('azure identity object'),
        resourceId: `/subscriptions/${subscriptionId}/resourceGroups/bootwright/providers/Microsoft.ManagedIdentity/userAssignedIdentities/bootwright`,
      },
    ],
    scheduledEvents: [],
    documentIncarnation: 1,
    incarnation: 1,
    health: undefined,
    requestsPerSecond: undefined,
    recentRequestsMs: [],
  }
  return completeInstance('A virtual machine of Azure', defaults, overrides, RULES, check)
}

function check(instance: AzureInstance, refuse: Refuse): void {
  const { image, hostname, zone, tags, subscriptionId, tenantId, requestsPerSecond } = instance
  if (image.split(':').length !== 4) refuse(`an image of publisher:offer:sku:version, found "${image}"`)
  if (hostname.length > 64) refuse(`a host name of at most 64 characters, found ${hostname.length}`)
  if (!/^[1-3]?$/.test(zone)) refuse(`a zone of 1, 2, 3 or none, found "${zone}"`)
  for (const id of [subscriptionId, tenantId]) if (!UUID.pattern.test(id)) refuse(`${UUID.words}, found "${id}"`)
  for (const [key, value] of Object.entries(tags)) {
    if (/[;<>%&\\?/]/.test(key) || key === '' || value.length > 256) refuse(`tags that Azure allows, found "${key}"`)
  }
  if (requestsPerSecond !== undefined && !(Number.isInteger(requestsPerSecond) && requestsPerSecond > 0)) {
    refuse(`a whole number of requests in a second, found ${requestsPerSecond}`)
  }
}
