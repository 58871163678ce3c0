/** Fields that each cloud has somewhere else, as command lines, properties and `GetVendorInfo` spell them. */
export const WELL_KNOWN = [
  'base',
  'hostname',
  'region',
  'zone',
  'ipv4-public',
  'ipv6-public',
  'ssh-key',
  'userdata',
  'userdata-base',
  'userdata-base64',
] as const

export type WellKnown = (typeof WELL_KNOWN)[number]

/** Those that an endpoint gives a path for: `base` is the data URL itself. */
export const CONFIGURABLE = WELL_KNOWN.filter((name) => name !== 'base')

/** Those that a key is put behind. */
const TAKES_KEY: ReadonlySet<WellKnown> = new Set(['base', 'userdata-base'])

export function takesKey(name: WellKnown): boolean {
  return TAKES_KEY.has(name)
}

/** As the Varlink interface spells it. */
export function wireName(name: WellKnown): string {
  return name.replaceAll('-', '_')
}

export function parseWellKnown(text: string): WellKnown | undefined {
  return WELL_KNOWN.find((name) => name === text)
}

/** Keys begin with a slash and are printable ASCII; a blank passes here, and fails as part of an address. */
export function isKey(text: string): boolean {
  return /^\/[\x20-\x7e]*$/.test(text)
}
