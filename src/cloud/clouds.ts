import { unknownName } from '../system/index.ts'
import { aws } from './aws.ts'
import type { Provider } from './provider.ts'

/** Every cloud there is, by the name it has on the command line. */
export const clouds: ReadonlyMap<string, Provider> = new Map<string, Provider>([[aws.name, aws]])

/** Rejects a name that is none, with the list of those that are. */
export function cloudNamed(name: string): Provider {
  const cloud = clouds.get(name)
  if (cloud === undefined) throw unknownName('cloud', name, [...clouds.keys()])
  return cloud
}
