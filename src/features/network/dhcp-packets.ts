import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, file, systemdVersion } from '../requirement.ts'
import { eventually, output, sh } from '../shell.ts'
import { CLIENT, WATCH } from './dhcp-scripts.ts'
import { leasedLink } from './link.ts'

const SOCKET = '/run/systemd/netif/io.systemd.Network'
const NETWORK_FILE = '/run/systemd/network/10-bootwright.network'
/** The end of a pair that networkd serves, and the other one, in a network namespace of its own. */
const [SERVED, CLIENTS] = ['bootwright0', 'bootwright1']
const NAMESPACE = 'bootwright-dhcp'
const [SERVER_ADDRESS, POOL_SIZE] = ['198.51.100.1', 20]
/** As long as it is watched that nothing happens. */
const QUIET_SECONDS = 3
const SECONDS = 15

export const dhcpPackets: Feature = {
  id: 'dhcp-packets',
  group: 'network',
  title: 'Renew and ForceRenew send what they should',
  topic: 'Networkd and resolved: io.systemd.Network.Link.Renew, ForceRenew',
  requires: [
    systemdVersion(261),
    activeUnit('systemd-networkd.service'),
    file(SOCKET, 'systemd, and its networkd socket units'),
    file('/usr/bin/perl', 'perl-base'),
    file('/usr/bin/ip', 'iproute2'),
  ],
  async observe({ machine }) {
    const link = await leasedLink(machine)
    const watched = (method: string, on: string) => packets(machine, link, on, method)
    const described = await watched('Describe', link)
    const renewed = await watched('Renew', link)
    const unserved = await watched('ForceRenew', link)
    await using _client = await served(machine)
    const before = await received(machine)
    const forced = await call(machine, 'ForceRenew', SERVED)
    const after = await eventually(
      () => received(machine),
      (text) => /FORCERENEW/.test(text),
    )
    return [
      claim('Renew: the machine asks for its lease, and gets it', 'REQUEST ACK', renewed),
      claim('a client of its own server', 'OFFER ACK', before),
      claim('ForceRenew is accepted', 0, forced),
      claim('and the client is told to renew', 'OFFER ACK FORCERENEW', after),
      negative('Describe', '', described),
      negative('ForceRenew of a link that it serves nothing on', '', unserved),
    ]
  },
}

/** The kinds of DHCP messages that go over a link from just before a call. */
async function packets(machine: RunningMachine, link: string, on: string, method: string): Promise<string> {
  const isQuiet = method !== 'Renew'
  const script =
    'perl -e "$1" "$2" "$3" "$4" & until [ -e /run/bootwright-watching ]; do sleep 0.1; done; varlinkctl call -q "$5" "io.systemd.Network.Link.$6" "{\\"InterfaceName\\": \\"$7\\"}" >/dev/null; wait; rm -f /run/bootwright-watching'
  const seconds = isQuiet ? QUIET_SECONDS : SECONDS
  const { stdout } = await sh(machine, script, WATCH, link, String(seconds), isQuiet ? '' : 'ACK', SOCKET, method, on)
  return stdout.trim().split(/\s+/).join(' ')
}

async function call(machine: RunningMachine, method: string, link: string): Promise<number> {
  const parameters = JSON.stringify({ InterfaceName: link })
  return (await sh(machine, 'varlinkctl call "$1" "$2" "$3"', SOCKET, `io.systemd.Network.Link.${method}`, parameters))
    .status
}

/** What the client was told, so far. */
async function received(machine: RunningMachine): Promise<string> {
  const { stdout } = await eventually(
    () => sh(machine, 'cat /run/bootwright-dhcp'),
    (answer) => /ACK/.test(answer.stdout),
  )
  return stdout.trim().split(/\s+/).join(' ')
}

/** A link with networkd's DHCP server, and a client that has a lease of it and listens. */
async function served(machine: RunningMachine): Promise<AsyncDisposable> {
  await using scope = new AsyncDisposableStack()
  scope.defer(async () => {
    const undo = `systemctl stop bootwright-dhcp.service; ip link delete ${SERVED}; ip netns delete ${NAMESPACE}; rm -f ${NETWORK_FILE} /run/bootwright-dhcp; networkctl reload`
    await sh(machine, undo)
  })
  await machine.writeFile(
    NETWORK_FILE,
    `[Match]\nName=${SERVED}\n[Network]\nAddress=${SERVER_ADDRESS}/24\nDHCPServer=yes\nLinkLocalAddressing=no\n[DHCPServer]\nPoolOffset=10\nPoolSize=${POOL_SIZE}\nPersistLeases=no\n`,
    0o644,
  )
  const setUp = [
    'networkctl reload',
    `ip netns add ${NAMESPACE}`,
    `ip link add ${SERVED} type veth peer name ${CLIENTS} netns ${NAMESPACE}`,
    `ip -n ${NAMESPACE} link set ${CLIENTS} up`,
    `/usr/lib/systemd/systemd-networkd-wait-online --interface=${SERVED}:routable --timeout=30`,
  ]
  await machine.run(['sh', '-euc', setUp.join('\n')])
  const address = await output(machine, 'ip', 'netns', 'exec', NAMESPACE, 'cat', `/sys/class/net/${CLIENTS}/address`)
  const client = ['ip', 'netns', 'exec', NAMESPACE, 'perl', '-e', CLIENT, CLIENTS, address]
  const run = [
    'systemd-run',
    '--quiet',
    '--unit=bootwright-dhcp',
    '--property=StandardOutput=truncate:/run/bootwright-dhcp',
  ]
  await machine.run([...run, '--expand-environment=no', ...client])
  const kept = scope.move()
  return kept
}
