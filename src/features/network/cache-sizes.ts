import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, file, systemdVersion } from '../requirement.ts'
import { sh, temporaryUnits } from '../shell.ts'

const DROP_IN = '/run/systemd/resolved.conf.d/50-bootwright.conf'
const DOMAIN = 'bootwright.example'
const SERVER = '127.0.0.2'
const NAMES = 20

export const cacheSizes: Feature = {
  id: 'cache-sizes',
  group: 'network',
  title: 'The caches of resolved are as large as they are told',
  topic: 'Networkd and resolved: DNSCacheSize=',
  requires: [systemdVersion(261), activeUnit('systemd-resolved.service'), file('/usr/sbin/dnsmasq', 'dnsmasq-base')],
  async observe({ machine }) {
    const dnsmasq = `/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --pid-file= --user=root --listen-address=${SERVER} --bind-interfaces --local-ttl=600 --address=/${DOMAIN}/192.0.2.9`
    await using _server = await temporaryUnits(machine, {
      'bootwright-dns.service': `[Service]\nType=exec\nExecStart=${dnsmasq}\n`,
    })
    await machine.run(['systemctl', 'start', 'bootwright-dns.service'])
    try {
      const sizes: Record<string, number> = {}
      for (const limit of ['', '5', '2', '0']) sizes[limit] = await filled(machine, limit)
      return [
        claim(`without a limit, after ${NAMES} names`, NAMES, sizes[''] ?? Number.NaN),
        // Room is made for the answer and one more before it is stored.
        claim('limit 5', 3, sizes['5'] ?? Number.NaN),
        claim('limit 2', 1, sizes['2'] ?? Number.NaN),
        negative('limit 0', 0, sizes['0'] ?? Number.NaN),
        negative('-1 is refused', true, await isRefused(machine, '-1')),
        negative('16777217 is refused', true, await isRefused(machine, '16777217')),
      ]
    } finally {
      await machine.run(['rm', '-f', DROP_IN])
      await restart(machine)
    }
  },
}

/** So often in a row that systemd would call it too often. */
async function restart(machine: RunningMachine): Promise<void> {
  await machine.run(['systemctl', 'reset-failed', 'systemd-resolved.service'])
  await machine.run(['systemctl', 'restart', 'systemd-resolved.service'])
}

/** How many of the names are in the cache when a server was asked for all of them, one after the other. */
async function filled(machine: RunningMachine, limit: string): Promise<number> {
  await configure(machine, limit)
  const ask = `for i in $(seq ${NAMES}); do resolvectl query --type=A --legend=no cache-$i.${DOMAIN} >/dev/null; done; resolvectl show-cache --json=short`
  const { stdout } = await sh(machine, ask)
  return new Set(stdout.match(/cache-\d+\.bootwright\.example/g)).size
}

async function configure(machine: RunningMachine, limit: string): Promise<void> {
  const settings = [`DNS=${SERVER}`, `Domains=~${DOMAIN}`, 'CacheFromLocalhost=yes', 'LLMNR=no', 'MulticastDNS=no']
  if (limit !== '') settings.push(`DNSCacheSize=${limit}`)
  await machine.writeFile(DROP_IN, `[Resolve]\n${settings.join('\n')}\n`)
  await restart(machine)
}

/** Whether resolved says what it would take instead. */
async function isRefused(machine: RunningMachine, limit: string): Promise<boolean> {
  await configure(machine, limit)
  const script =
    'journalctl --output=cat _SYSTEMD_INVOCATION_ID="$(systemctl show --value --property=InvocationID systemd-resolved.service)"'
  return (await sh(machine, script)).stdout.includes('0..16777216')
}
