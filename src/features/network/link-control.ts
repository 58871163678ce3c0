import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, file, systemdVersion } from '../requirement.ts'
import { eventually, sh } from '../shell.ts'
import { leasedLink } from './link.ts'

/** What varlinkctl makes of org.varlink.service.InvalidParameter. */
const INVALID = 'Invalid argument'
const SOCKET = '/run/systemd/netif/io.systemd.Network'

export const linkControl: Feature = {
  id: 'link-control',
  group: 'network',
  title: 'Links are described, renewed and reconfigured over Varlink',
  topic: 'Networkd and resolved: io.systemd.Network.Link',
  requires: [
    systemdVersion(261),
    activeUnit('systemd-networkd.service'),
    file(SOCKET, 'systemd, and its networkd socket units'),
  ],
  async observe({ machine }) {
    const link = await leasedLink(machine)
    const before = await lease(machine, link)
    const renew = await call(machine, 'Renew', { InterfaceName: link })
    const after = await eventually(
      () => lease(machine, link),
      ({ stamp }) => stamp > before.stamp,
    )
    const reconfigure = await reconfigured(machine, link)
    const unmanaged = await call(machine, 'Renew', { InterfaceName: 'lo' })
    const forced = await call(machine, 'ForceRenew', { InterfaceName: 'lo' })
    const confused = await call(machine, 'Describe', { InterfaceName: link, InterfaceIndex: 1 })
    return [
      claim('Renew is accepted', 0, renew.status),
      claim('and gets a younger lease', true, after.stamp > before.stamp),
      claim('of the same address', before.address, after.address),
      claim('Reconfigure adds the address of a new file', true, reconfigure.during),
      negative('and takes it away with the file', false, reconfigure.after),
      negative(
        'Renew of a link that nobody manages',
        'io.systemd.Network.Link.InterfaceUnmanaged',
        errorOf(unmanaged.stderr),
      ),
      negative('ForceRenew of it', 'io.systemd.Network.Link.InterfaceUnmanaged', errorOf(forced.stderr)),
      negative('a name and an index that disagree', INVALID, errorOf(confused.stderr)),
    ]
  },
}

function call(machine: RunningMachine, method: string, parameters: object) {
  return sh(
    machine,
    'varlinkctl call --json=short "$1" "$2" "$3"',
    SOCKET,
    `io.systemd.Network.Link.${method}`,
    JSON.stringify(parameters),
  )
}

async function lease(machine: RunningMachine, link: string): Promise<{ stamp: number; address: string }> {
  const { stdout } = await call(machine, 'Describe', { InterfaceName: link })
  const stamp = Number(/"LeaseTimestampUSec":(\d+)/.exec(stdout)?.[1] ?? Number.NaN)
  const { stdout: shown } = await sh(machine, 'ip -4 -oneline address show dev "$1" scope global', link)
  return { stamp, address: / inet ([0-9./]+)/.exec(shown)?.[1] ?? 'none' }
}

/** Gives the link an address by a drop-in of its .network file, and takes it away again. */
async function reconfigured(machine: RunningMachine, link: string): Promise<{ during: boolean; after: boolean }> {
  const { stdout } = await sh(machine, 'networkctl status "$1" --json=short', link)
  const networkFile = /"NetworkFile":"([^"]+)"/.exec(stdout)?.[1] ?? ''
  const dropIn = `/run/systemd/network/${networkFile.split('/').at(-1)}.d/50-bootwright.conf`
  const address = '192.0.2.77'
  const shown = async () => {
    const { stdout: text } = await sh(machine, 'ip -4 -oneline address show dev "$1"', link)
    return text.includes(` ${address}/`)
  }
  const apply = async () => {
    await sh(machine, 'networkctl reload --no-reconfigure')
    await call(machine, 'Reconfigure', { InterfaceName: link })
  }
  await machine.writeFile(dropIn, `[Address]\nAddress=${address}/32\n`)
  await apply()
  const during = await eventually(shown, (found) => found)
  await machine.run(['rm', '-f', dropIn])
  await apply()
  const after = await eventually(shown, (found) => !found)
  return { during, after }
}

function errorOf(text: string): string {
  // "Method call io.systemd.….Renew() failed: io.systemd.…"
  return /failed: (.*)/.exec(text)?.[1] ?? text.trim()
}
