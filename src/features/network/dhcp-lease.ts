import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, systemdVersion } from '../requirement.ts'
import { output, sh } from '../shell.ts'
import { leasedLink } from './link.ts'

export const dhcpLease: Feature = {
  id: 'dhcp-lease',
  group: 'network',
  title: 'networkctl shows what the DHCP server said',
  topic: 'Networkd and resolved: networkctl dhcp-lease',
  requires: [systemdVersion(261), activeUnit('systemd-networkd.service')],
  async observe({ machine }) {
    const link = await leasedLink(machine)
    const ask = (...args: string[]) => sh(machine, 'networkctl dhcp-lease "$@"', ...args)
    const { yiaddr } = JSON.parse((await ask(link, '--json=short')).stdout) as { yiaddr: string }
    const address = await output(machine, 'ip', '-4', '-oneline', 'address', 'show', 'dev', link, 'scope', 'global')
    const offered = [...Buffer.from(yiaddr, 'hex')].join('.')
    const mask = await ask(link, '1:hex')
    const none = await ask('lo')
    const unknown = await ask('bootwright0')
    return [
      claim(`yiaddr is an address of ${link}`, offered, / inet ([0-9.]+)\//.exec(address)?.[1] ?? 'none'),
      claim(
        'option 1 (subnet mask)',
        'ff:ff:ff:00',
        /([0-9a-f]{2}(?::[0-9a-f]{2}){3})/.exec(mask.stdout)?.[1] ?? mask.stderr,
      ),
      negative('a link without a lease is an error', true, none.status !== 0 && /lease/i.test(none.stderr)),
      negative('a link that there is not is an error', true, unknown.status !== 0),
    ]
  },
}
