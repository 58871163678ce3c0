import { DEFAULT_MARK } from '../broker/limits.ts'

/**
 * Who may reach the endpoint: everybody, the broker alone as systemd has it (by the mark of its packets), or the broker alone
 * by the number of its user, which holds where marks do not.
 */
export type NetworkMode = 'off' | 'locked' | 'unlocked'

export interface NetworkPlan {
  readonly mode: Exclude<NetworkMode, 'off'>
  readonly addressIPv4: string | undefined
  readonly addressIPv6: string | undefined
  /** The broker's own user, for a lock that needs no mark; undefined for systemd's. */
  readonly brokerUid?: number | undefined
}

const TABLE = `0x${DEFAULT_MARK.toString(16).toUpperCase()}`
/** Below systemd-networkd's own rules, which begin at 32766, and in this order. */
const [FORWARDED_PRIORITY, BROKER_PRIORITY, PROHIBIT_PRIORITY] = [29_999, 30_000, 30_001]

/** `85-imds-early.network` (systemd.network(5)): brings up the network before metadata are read, and locks their endpoint. */
export function networkFile({ mode, addressIPv4, addressIPv6, brokerUid }: NetworkPlan): string {
  const family = addressIPv4 !== undefined ? 'ipv4' : addressIPv6 !== undefined ? 'ipv6' : undefined
  const hardened = mode === 'locked' ? brokerUid : undefined
  const addresses = [
    ...(addressIPv4 === undefined ? [] : [[addressIPv4, 'ipv4'] as const]),
    ...(addressIPv6 === undefined ? [] : [[addressIPv6, 'ipv6'] as const]),
  ]
  const sections = [
    section('Match', ['Type=ether', 'Kind=!*']),
    section('Network', ['DHCP=yes', 'LinkLocalAddressing=ipv6']),
    section('DHCP', ['UseTimezone=yes', 'UseHostname=yes', 'UseMTU=yes']),
    ...(family === undefined ? [] : [section('Link', [`RequiredFamilyForOnline=${family}`])]),
    ...(mode === 'locked' && brokerUid === undefined ? addresses.map(([address]) => prohibited(address)) : []),
    ...addresses.flatMap(([address, of]) =>
      hardened === undefined ? byMark(address, of) : byUser(address, of, hardened),
    ),
  ]
  return `# Made by systemd-imdsd of Bootwright when the system starts: changes are lost.\n\n${sections.join('\n')}`
}

function prohibited(address: string): string {
  return section('Route', [`Destination=${address}`, 'Type=prohibit'])
}

/** Packets with the mark find a route to the endpoint in a table of their own. */
function byMark(address: string, family: 'ipv4' | 'ipv6'): string[] {
  const scope = family === 'ipv4' ? ['Scope=link'] : []
  return [
    section('Route', [`Destination=${address}`, ...scope, `Table=${TABLE}`]),
    section('RoutingPolicyRule', [`Family=${family}`, `FirewallMark=${TABLE}`, `Table=${TABLE}`]),
  ]
}

/**
 * What is forwarded, for containers and virtual machines, finds no way to the endpoint: it alone does not come from `lo` in the
 * eyes of the rules. They are asked for packets that come in as well, but the table holds nothing that these could go to.
 *
 * Sockets of the broker's user find the endpoint as if there were no lock, all others nothing: packets that come back are looked
 * up without a user, so that filters of reverse paths do not see the lock, and no capability opens it.
 */
function byUser(address: string, family: 'ipv4' | 'ipv6', uid: number): string[] {
  const to = `To=${address}/${family === 'ipv4' ? 32 : 128}`
  return [
    section('Route', [`Destination=${address}`, 'Type=prohibit', `Table=${TABLE}`]),
    section('RoutingPolicyRule', [
      `Family=${family}`,
      'IncomingInterface=lo',
      'InvertRule=yes',
      `Table=${TABLE}`,
      `Priority=${FORWARDED_PRIORITY}`,
    ]),
    section('RoutingPolicyRule', [to, `User=${uid}`, 'Table=main', `Priority=${BROKER_PRIORITY}`]),
    section('RoutingPolicyRule', [to, 'User=1-4294967294', 'Type=prohibit', `Priority=${PROHIBIT_PRIORITY}`]),
  ]
}

function section(name: string, lines: readonly string[]): string {
  return `[${name}]\n${lines.map((line) => `${line}\n`).join('')}`
}
