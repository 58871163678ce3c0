import { type InterfaceDescription, memberOf, type StructType, type VarlinkType } from './description.ts'

const [MIN_INT64, MAX_INT64] = [-(2n ** 63n), 2n ** 63n - 1n]

/**
 * The first field that is not as the interface says, in the order of the interface, then whatever it does not know;
 * undefined when all is well. The innermost name, as systemd tells it.
 *
 * @param value what JSON has made of it; whole numbers beyond 2^53 as bigint
 */
export function findInvalid(
  value: Readonly<Record<string, unknown>>,
  type: StructType,
  description: InterfaceDescription,
): string | undefined {
  for (const { name, type: of } of type.fields) {
    const found = Object.hasOwn(value, name) ? value[name] : undefined
    const invalid = invalidIn(found ?? undefined, of, name, description)
    if (invalid !== undefined) return invalid
  }
  return Object.keys(value).find((name) => !type.fields.some((field) => field.name === name))
}

function invalidIn(
  value: unknown,
  type: VarlinkType,
  field: string,
  description: InterfaceDescription,
): string | undefined {
  const unless = (isValid: boolean): string | undefined => (isValid ? undefined : field)
  switch (type.kind) {
    case 'optional':
      return value === undefined || value === null ? undefined : invalidIn(value, type.of, field, description)
    case 'any':
      return unless(value !== undefined)
    case 'bool':
      return unless(typeof value === 'boolean')
    case 'string':
      return unless(typeof value === 'string')
    case 'int':
      return unless(isInt64(value))
    case 'float':
      return unless(typeof value === 'bigint' || Number.isFinite(value))
    case 'object':
      return unless(isObject(value))
    case 'enum':
      return unless(type.values.some(({ name }) => name === value))
    case 'array':
      return Array.isArray(value) ? firstInvalid(value, type.of, field, description) : field
    case 'map':
      return isObject(value) ? firstInvalid(Object.values(value), type.of, field, description) : field
    case 'struct':
      return isObject(value) ? findInvalid(value, type, description) : field
    case 'named': {
      const named = memberOf(description, 'type', type.name)?.type
      return named === undefined ? field : invalidIn(value, named, field, description)
    }
  }
}

function firstInvalid(
  values: readonly unknown[],
  type: VarlinkType,
  field: string,
  description: InterfaceDescription,
): string | undefined {
  for (const value of values) {
    const invalid = invalidIn(value, type, field, description)
    if (invalid !== undefined) return invalid
  }
  return undefined
}

function isInt64(value: unknown): boolean {
  if (typeof value === 'bigint') return value >= MIN_INT64 && value <= MAX_INT64
  return Number.isSafeInteger(value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
