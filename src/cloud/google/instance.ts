import type { Instance, Overrides } from '../instance.ts'
import { commonInstance, completeInstance, type InstanceRules, NUMBER, type Refuse } from '../instance-parts.ts'

/** A Compute Engine instance: the common facts, and those that only Google has. */
export interface GoogleInstance extends Instance {
  /** Name of the resource, the first label of the usual host name. */
  readonly name: string
  readonly projectId: string
  readonly numericProjectId: string
  /** Custom metadata besides `ssh-keys` and `user-data`, which come from the common facts. */
  readonly attributes: Readonly<Record<string, string>>
  readonly projectAttributes: Readonly<Record<string, string>>
  /** Offered as `instance/guest-attributes/<namespace>/<key>`; undefined where the project does not enable them. */
  readonly guestAttributes: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined
  /** The first is `default`; their tokens are fake. */
  readonly serviceAccounts: readonly { readonly email: string; readonly scopes: readonly string[] }[]
  readonly licenses: readonly string[]
  readonly cpuPlatform: string
  readonly description: string
  readonly maintenanceEvent: 'NONE' | 'MIGRATE_ON_HOST_MAINTENANCE' | 'TERMINATE_ON_HOST_MAINTENANCE'
  readonly preempted: boolean
  readonly scheduling: {
    readonly automaticRestart: boolean
    readonly onHostMaintenance: 'MIGRATE' | 'TERMINATE'
    readonly preemptible: boolean
  }
}

/** Custom metadata values are limited to 256 KiB. */
const MAX_USER_DATA_BYTES = 262_144

const RULES: InstanceRules = {
  id: NUMBER,
  maxUserDataBytes: MAX_USER_DATA_BYTES,
  userDataIsText: true,
  maxInterfaces: 8,
}

/** A whole Compute Engine instance. Zone leads to region, name, zone and project lead to the host name. */
export function googleInstance(overrides: Overrides<GoogleInstance> = {}): GoogleInstance {
  const zone = overrides.zone ?? (overrides.region === undefined ? 'europe-west3-a' : `${overrides.region}-a`)
  const name = overrides.name ?? 'bootwright'
  const projectId = overrides.projectId ?? 'bootwright-project'
  const defaults: GoogleInstance = {
    ...commonInstance({
      cloud: 'google',
      id: '7007007007007007007',
      type: 'e2-medium',
      image: 'projects/bootwright-project/global/images/bootwright',
      hostname: `${name}.${zone}.c.${projectId}.internal`,
      region: zone.replace(/-[^-]*$/, ''),
      zone,
      mac: '42:01:ac:1f:10:0a',
    }),
    tags: { bootwright: '' },
    name,
    projectId,
    numericProjectId: '123456789012',
    attributes: {},
    projectAttributes: {},
    guestAttributes: undefined,
    serviceAccounts: [
      {
        email: '123456789012-compute@developer.gserviceaccount.com',
        scopes: ['https://www.googleapis.com/auth/cloud-platform'],
      },
    ],
    licenses: ['5926592092274602096'],
    cpuPlatform: 'Intel Broadwell',
    description: '',
    maintenanceEvent: 'NONE',
    preempted: false,
    scheduling: { automaticRestart: true, onHostMaintenance: 'MIGRATE', preemptible: false },
  }
  return completeInstance('A Compute Engine instance', defaults, overrides, RULES, check)
}

function check(instance: GoogleInstance, refuse: Refuse): void {
  const { tags, attributes, projectAttributes, zone, region, numericProjectId, name } = instance
  if (!/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    refuse(`a name of lower-case letters, digits and dashes, found "${name}"`)
  }
  if (!NUMBER.pattern.test(numericProjectId)) refuse(`a project number, found "${numericProjectId}"`)
  if (!zone.startsWith(`${region}-`)) refuse(`a zone of its region ${region}, found "${zone}"`)
  for (const tag of Object.keys(tags)) {
    if (!/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(tag) || tags[tag] !== '') {
      refuse(`network tags, which have no value: lower-case letters, digits and dashes; found "${tag}"`)
    }
  }
  for (const key of [...Object.keys(attributes), ...Object.keys(projectAttributes)]) {
    if (!/^[\w-]{1,128}$/.test(key)) refuse(`metadata keys of letters, digits, - and _, found "${key}"`)
  }
}
