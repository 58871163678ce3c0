import { createHash } from 'node:crypto'
import {
  devicetreeCompatible,
  formatGuid,
  type KnownHardware,
  type PeSection,
  parseHardwareIds,
  type SmbiosIdentity,
} from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'

type Field = 'manufacturer' | 'family' | 'productName' | 'skuNumber' | 'baseboardManufacturer' | 'baseboardProduct'

/**
 * Fields of the hardware IDs that systemd's stub compares, from the most specific on, by the number that fwupd and
 * `systemd-analyze chid` give them. Those with the identity of a panel are left out: no firmware here has one.
 */
const HARDWARE_IDS: readonly (readonly [type: number, fields: readonly Field[]])[] = [
  [3, ['manufacturer', 'family', 'productName', 'skuNumber', 'baseboardManufacturer', 'baseboardProduct']],
  [6, ['manufacturer', 'skuNumber', 'baseboardManufacturer', 'baseboardProduct']],
  [8, ['manufacturer', 'productName', 'baseboardManufacturer', 'baseboardProduct']],
  [10, ['manufacturer', 'family', 'baseboardManufacturer', 'baseboardProduct']],
  [4, ['manufacturer', 'family', 'productName', 'skuNumber']],
  [5, ['manufacturer', 'family', 'productName']],
  [7, ['manufacturer', 'skuNumber']],
  [9, ['manufacturer', 'productName']],
  [11, ['manufacturer', 'family']],
]

/** 70ffd812-4c7f-4c7d-0000-000000000000: the name space of Microsoft's hardware IDs. */
const NAME_SPACE = Buffer.from('70ffd8124c7f4c7d0000000000000000', 'hex')

/** A machine's computer hardware IDs by number, in the order in which systemd's stub tries them. */
export function hardwareIds({ system, baseboard }: Pick<SmbiosIdentity, 'system' | 'baseboard'>): Map<number, string> {
  const values: Readonly<Record<Field, string | undefined>> = {
    ...system,
    manufacturer: system.manufacturer,
    family: system.family,
    productName: system.productName,
    skuNumber: system.skuNumber,
    baseboardManufacturer: baseboard.manufacturer,
    baseboardProduct: baseboard.product,
  }
  return new Map(HARDWARE_IDS.map(([type, fields]) => [type, hashed(fields.map((field) => hashable(values[field])))]))
}

/** Without blanks around it and zeros in front; a field that is not there is as good as an empty one. */
function hashable(value = ''): string {
  return value.replace(/^ *0*/, '').replace(/ +$/, '')
}

/** A UUID of version 5 (RFC 9562), but over UTF-16. */
function hashed(values: readonly string[]): string {
  const bytes = createHash('sha1')
    .update(NAME_SPACE)
    .update(Buffer.from(values.join('&'), 'utf16le'))
    .digest()
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  // formatGuid reads the order of EFI.
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return formatGuid(bytes.subarray(0, 16))
}

/**
 * The `.dtbauto` of some sections that systemd's stub takes on a machine whose firmware has no devicetree: the first that is
 * compatible with what `.hwids` says the machine is. Undefined when there is none.
 */
export function chosenDevicetree(
  sections: readonly PeSection[],
  file: Uint8Array,
  identity: Pick<SmbiosIdentity, 'system' | 'baseboard'>,
): PeSection | undefined {
  const resource = knownHardware(sections, file, identity, 'devicetree')?.resource
  if (resource === undefined) return undefined
  return sections.find((section) => {
    return section.name === '.dtbauto' && devicetreeCompatible(contentOf(section, file)) === resource
  })
}

/** What `.hwids` says that the machine is: the most specific. */
export function knownHardware(
  sections: readonly PeSection[],
  file: Uint8Array,
  identity: Pick<SmbiosIdentity, 'system' | 'baseboard'>,
  kind: KnownHardware['kind'],
): KnownHardware | undefined {
  const section = sections.find(({ name }) => name === '.hwids')
  if (section === undefined) return undefined
  const known = readHardwareIds(contentOf(section, file)).filter((one) => one.kind === kind)
  for (const id of hardwareIds(identity).values()) {
    const found = known.find(({ hardwareId }) => hardwareId === id)
    if (found !== undefined) return found
  }
  return undefined
}

/** The stub goes on without, whatever is wrong with them. */
function readHardwareIds(bytes: Uint8Array): KnownHardware[] {
  try {
    return parseHardwareIds(bytes)
  } catch (error) {
    if (error instanceof BootwrightError && error.code === 'MALFORMED_INPUT') return []
    throw error
  }
}

function contentOf(section: PeSection, file: Uint8Array): Uint8Array {
  return file.subarray(section.rawOffset, section.rawOffset + Math.min(section.virtualSize, section.rawSize))
}

/** The `.dtbauto` of a profile: its own, else that in front of all profiles. */
export function chosenByHardware(
  scopes: { readonly base: readonly PeSection[]; readonly own: readonly PeSection[] },
  file: Uint8Array,
  identity: Pick<SmbiosIdentity, 'system' | 'baseboard'>,
): readonly PeSection[] {
  const chosen = chosenDevicetree(scopes.own, file, identity) ?? chosenDevicetree(scopes.base, file, identity)
  return chosen === undefined ? [] : [chosen]
}
