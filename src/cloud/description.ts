import { BootwrightError } from '../system/index.ts'
import type { Instance, Overrides } from './instance.ts'
import type { Provider } from './provider.ts'

/** How deep descriptions are looked into; they are nowhere deeper than interfaces of an instance with their addresses. */
const MAX_DEPTH = 6

/**
 * An instance of a cloud as JSON describes it: an object with some of the fields of the instance, user data as text.
 * Throws `INVALID_ARGUMENT` for what is no such object, with the place in it, and for what the cloud could not render.
 */
export function describedInstance<I extends Instance>(provider: Provider<I>, json: unknown): I {
  const defaults = provider.instance()
  if (kindOf(json) !== 'object') refuse(provider, 'an object of fields', kindOf(json))
  const description = { ...(json as Record<string, unknown>) }
  for (const [name, value] of Object.entries(description)) {
    if (name === 'userData') {
      if (typeof value !== 'string') refuse(provider, 'text as userData', kindOf(value))
      description[name] = Buffer.from(value)
      continue
    }
    // What the cloud has not got, and what it has not got by default, is for the cloud itself to judge.
    if (!Object.hasOwn(defaults, name)) continue
    alike(provider, name, defaults[name as keyof I], value, 0)
  }
  return provider.instance(description as Overrides<I>)
}

/** Whether a value is of the kind of its model, as are all elements of an array of the first one's. */
function alike(provider: Provider, place: string, model: unknown, value: unknown, depth: number): void {
  if (model === undefined || depth > MAX_DEPTH) return
  const [expected, found] = [kindOf(model), kindOf(value)]
  if (expected !== found) refuse(provider, `${expected === 'array' ? 'an' : 'a'} ${expected} as ${place}`, found)
  if (Array.isArray(model)) {
    for (const [index, element] of (value as unknown[]).entries()) {
      alike(provider, `${place}[${index}]`, model[0], element, depth + 1)
    }
    return
  }
  if (expected !== 'object') return
  const fields = Object.entries(model as object)
  const isRecord =
    fields.every(([, one]) => typeof one === 'string') && !STRUCTURES.has(place.replaceAll(/\[\d+\]/g, ''))
  for (const [name, one] of isRecord ? Object.entries(value as object) : fields) {
    const given = (value as Record<string, unknown>)[name]
    if (isRecord) alike(provider, `${place}.${name}`, '', given, depth + 1)
    else if (given !== undefined || !OPTIONAL.has(name)) alike(provider, `${place}.${name}`, one, given, depth + 1)
  }
}

/** What an interface need not have. */
const OPTIONAL = new Set(['publicIpv4', 'ipv6Subnet'])
/** Objects with fields of their own, though all of them are text; in all others names are the caller's. */
const STRUCTURES = new Set(['sshKeys', 'identities', 'securityGroups'])

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function refuse({ title, instance }: Provider, expectation: string, found: string): never {
  throw new BootwrightError('INVALID_ARGUMENT', `An instance of ${title} needs ${expectation}, found ${found}`, {
    hint: `It has: ${Object.keys(instance())
      .filter((name) => name !== 'cloud')
      .join(', ')}.`,
  })
}
