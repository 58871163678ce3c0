import { createHash } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import { BootwrightError } from '../system/index.ts'
import type { Instance, NetworkInterface, Overrides, SshKey } from './instance.ts'

/** Stops with what an instance needs and what was found in its place. */
export type Refuse = (expectation: string) => never

/** What a cloud demands of the facts that every instance has. */
export interface InstanceRules {
  readonly id: { readonly pattern: RegExp; readonly words: string }
  readonly maxUserDataBytes: number
  /** Its documents are text: user data must be UTF-8. */
  readonly userDataIsText?: boolean
  readonly maxInterfaces?: number
}

/** Nobody has the private half: the 32 bytes are a digest, not a point anyone computed from a secret. */
export const NOBODYS_KEY: SshKey['openssh'] = opensshEd25519(
  createHash('sha256').update('bootwright: a key that opens nothing').digest(),
)

/** Addresses of the documentation ranges (RFC 5737, RFC 3849) stand in for public ones. */
export function primaryInterface(mac: string): NetworkInterface {
  return {
    mac,
    ipv4: '172.31.16.10',
    ipv4Subnet: '172.31.16.0/20',
    publicIpv4: '203.0.113.10',
    ipv6: ['2001:db8:1f:10::10'],
    ipv6Subnet: '2001:db8:1f:10::/64',
  }
}

/** What instances begin with in every cloud, under the overrides. */
export function commonInstance(
  facts: Pick<Instance, 'cloud' | 'id' | 'type' | 'image' | 'hostname' | 'region' | 'zone'> & { readonly mac: string },
): Instance {
  const { mac, ...rest } = facts
  return {
    ...rest,
    interfaces: [primaryInterface(mac)],
    sshKeys: [{ name: 'bootwright', openssh: NOBODYS_KEY }],
    tags: { Name: 'bootwright' },
    userData: undefined,
    startedAtMs: Date.UTC(2026, 0, 1),
  }
}

/** Hexadecimal digits that are always the same for the same seed. */
export function derivedHex(seed: string, digits: number): string {
  return createHash('sha256').update(seed).digest('hex').slice(0, digits)
}

/** A UUID of version 4, always the same for the same seed. */
export function derivedUuid(seed: string): string {
  const hex = derivedHex(seed, 32)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

export const UUID = { pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, words: 'a UUID in lower case' }
export const NUMBER = { pattern: /^[1-9]\d{0,18}$/, words: 'up to 19 decimal digits' }

/** Network, netmask and length of a subnet in CIDR notation, and its first address, where clouds have their gateway. */
export function ipv4Subnet(cidr: string): { network: string; netmask: string; length: number; gateway: string } {
  const [address = '', bits = '32'] = cidr.split('/')
  const length = Number(bits)
  const mask = length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0
  const network = (number(address) & mask) >>> 0
  return { network: dotted(network), netmask: dotted(mask), length, gateway: dotted(network + 1) }
}

/**
 * The defaults of a cloud under the caller's wishes. Throws `INVALID_ARGUMENT` for wishes that name what the cloud has
 * not got, and for what it would not start or could not describe.
 */
export function completeInstance<I extends Instance>(
  what: string,
  defaults: I,
  overrides: Overrides<I>,
  rules: InstanceRules,
  further: (instance: I, refuse: Refuse) => void = () => undefined,
): I {
  const instance = { ...defaults, ...overrides, cloud: defaults.cloud }
  const unknown = Object.keys(instance).filter((key) => !Object.hasOwn(defaults, key))
  if (unknown.length > 0) {
    const known = Object.keys(defaults).filter((key) => key !== 'cloud')
    throw new BootwrightError('INVALID_ARGUMENT', `${what} has no ${unknown.join(', ')}`, {
      hint: `It has: ${known.join(', ')}.`,
    })
  }
  const refuse: Refuse = (expectation) => {
    throw new BootwrightError('INVALID_ARGUMENT', `${what} needs ${expectation}`, {
      hint: 'Change the overrides of the instance; a wrong answer is made by a fault, not by a wrong instance.',
    })
  }
  const { id, hostname, userData, interfaces, sshKeys } = instance
  const maxInterfaces = rules.maxInterfaces ?? 15
  if (interfaces.length < 1 || interfaces.length > maxInterfaces) {
    refuse(`from 1 to ${maxInterfaces} network interfaces, found ${interfaces.length}`)
  }
  if (!rules.id.pattern.test(id)) refuse(`an instance id of ${rules.id.words}, found "${id}"`)
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(hostname)) refuse(`a host name, found "${hostname}"`)
  for (const field of ['region', 'zone', 'type', 'image'] as const) {
    if (/[^\x21-\x7e]/.test(instance[field])) {
      refuse(`a ${field} of printable characters without blanks, found ${JSON.stringify(instance[field])}`)
    }
  }
  if (userData !== undefined && userData.length > rules.maxUserDataBytes) {
    refuse(`at most ${rules.maxUserDataBytes} bytes of user data, found ${userData.length}`)
  }
  if (userData !== undefined && rules.userDataIsText === true && !isUtf8(userData)) {
    refuse('user data in UTF-8, as it is part of a text document')
  }
  for (const { name, openssh } of sshKeys) {
    if (/\p{Cc}/u.test(name + openssh)) refuse(`one line for each SSH key and its name, found ${JSON.stringify(name)}`)
  }
  for (const nic of interfaces) checkInterface(nic, refuse)
  further(instance, refuse)
  return instance
}

function checkInterface({ mac, ipv4, publicIpv4, ipv4Subnet: cidr, ipv6 }: NetworkInterface, refuse: Refuse): void {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) refuse(`a lower-case MAC address with colons, found "${mac}"`)
  for (const address of [ipv4, publicIpv4 ?? ipv4]) {
    if (!isIPv4(address)) refuse(`an IPv4 address, found "${address}"`)
  }
  const [network = '', length = '', more] = cidr.split('/')
  if (!isIPv4(network) || !/^\d{1,2}$/.test(length) || Number(length) > 32 || more !== undefined) {
    refuse(`an IPv4 subnet in CIDR notation, found "${cidr}"`)
  }
  for (const address of ipv6) {
    if (!isIPv6(address)) refuse(`an IPv6 address, found "${address}"`)
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

/** User data of an instance whose rules say that it is text; empty without. */
export function userDataText({ userData }: Instance): string {
  return userData === undefined ? '' : Buffer.from(userData).toString()
}

function opensshEd25519(publicKey: Uint8Array): string {
  const type = Buffer.from('ssh-ed25519')
  const blob = Buffer.concat([length32(type), type, length32(publicKey), publicKey])
  return `${type} ${blob.toString('base64')} bootwright`
}

function length32(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return length
}

function number(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0)
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.')
}
