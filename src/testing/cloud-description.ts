import {
  type AwsInstance,
  aws as awsProvider,
  cloudNamed,
  type Instance,
  type Overrides,
  type Provider,
} from '../cloud/index.ts'
import { instanceIn } from '../scene/index.ts'

/** A cloud with an instance in it, as data. */
export interface CloudDescription {
  readonly cloud: string
  readonly overrides: Overrides<Instance>
}

/** User data as text or bytes; the rest as in the cloud's own instance. */
export type AwsOptions = Omit<Overrides<AwsInstance>, 'userData' | 'interfaces'> & {
  readonly userData?: string | Uint8Array
}

/**
 * Amazon EC2, with what the test wants different about the instance.
 *
 * @example await boot('cloud', { cloud: aws({ userData: '{}', hostname: 'web-1' }) })
 */
export function aws(options: AwsOptions = {}): CloudDescription {
  const { userData, ...rest } = options
  const overrides = userData === undefined ? rest : { ...rest, userData: Buffer.from(userData) }
  return { cloud: awsProvider.name, overrides: overrides as Overrides<Instance> }
}

/** The provider and the instance that are meant; rejects a name that is none with the list of those that are. */
export function describedInstance(
  description: string | CloudDescription,
  macAddress: string,
): { provider: Provider; instance: Instance } {
  const { cloud, overrides } = typeof description === 'string' ? { cloud: description, overrides: {} } : description
  const provider = cloudNamed(cloud)
  return { provider, instance: instanceIn(provider, macAddress, overrides) }
}
