import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import { DEFAULT_MARK, networkFile } from '../src/imds/index.ts'
import { expect, type TestMachine, test } from '../src/testing/vitest.ts'

const [IPV4, IPV6] = ['169.254.169.254', 'fd00:ec2::254']
const KNOCK = '/run/knock.pl'
const NETWORK_FILE = '/run/systemd/network/85-imds-early.network'
const AS_NOBODY = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups']
const MARK = ['--mark', String(DEFAULT_MARK)]

/** Who knocks, and how. `§` stands for the script, `%` for the interface, `container` for one in the host's network. */
const KNOCKERS: Readonly<Record<string, readonly string[]>> = {
  'an ordinary user': [...AS_NOBODY, '§', IPV4],
  'an ordinary user, IPv6': [...AS_NOBODY, '§', IPV6],
  'a service of a user, as a proxy would be': [
    'systemd-run',
    '--quiet',
    '--pipe',
    '--property=DynamicUser=yes',
    '§',
    IPV4,
  ],
  'root of a user namespace, with the mark': [...AS_NOBODY, 'unshare', '--user', '--map-root-user', '§', IPV4, ...MARK],
  'root of a user namespace': [...AS_NOBODY, 'unshare', '--user', '--map-root-user', '§', IPV4],
  'CAP_NET_RAW, with the mark': [...AS_NOBODY, '--inh-caps=+net_raw', '--ambient-caps=+net_raw', '§', IPV4, ...MARK],
  'CAP_NET_RAW, frames of its own': [
    ...AS_NOBODY,
    '--inh-caps=+net_raw',
    '--ambient-caps=+net_raw',
    '§',
    IPV4,
    '--packet',
    '%',
  ],
  'a container with a network of its own': ['ip', 'netns', 'exec', 'container', '§', IPV4],
  "a container in the host's network": ['container', '§', IPV4],
  "a container in the host's network, with the mark": ['container', '§', IPV4, ...MARK],
  root: ['§', IPV4],
  'root, with the mark': ['§', IPV4, ...MARK],
}

type Lock = 'none' | "systemd's" | 'hardened'

/** Who reaches the endpoint under which lock: for all three settings of `rp_filter`, or by setting. */
type Reach = boolean | Readonly<Record<'0' | '1' | '2', boolean>>
const WITHOUT_FILTER: Reach = { '0': true, '1': false, '2': false }

const EXPECTED: Readonly<Record<string, Readonly<Record<Lock, Reach>>>> = {
  'an ordinary user': { none: true, "systemd's": false, hardened: false },
  'an ordinary user, IPv6': { none: true, "systemd's": false, hardened: false },
  'a service of a user, as a proxy would be': { none: true, "systemd's": false, hardened: false },
  'root of a user namespace, with the mark': { none: false, "systemd's": false, hardened: false },
  'root of a user namespace': { none: true, "systemd's": false, hardened: false },
  'CAP_NET_RAW, with the mark': { none: true, "systemd's": WITHOUT_FILTER, hardened: false },
  'CAP_NET_RAW, frames of its own': { none: true, "systemd's": true, hardened: true },
  'a container with a network of its own': { none: true, "systemd's": false, hardened: false },
  "a container in the host's network": { none: true, "systemd's": false, hardened: true },
  "a container in the host's network, with the mark": { none: true, "systemd's": WITHOUT_FILTER, hardened: true },
  root: { none: true, "systemd's": false, hardened: true },
  'root, with the mark': { none: true, "systemd's": WITHOUT_FILTER, hardened: true },
  'the broker': { none: true, "systemd's": WITHOUT_FILTER, hardened: true },
}

/** Twelve that knock, three locks, three filters: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('the lock of the metadata endpoint', () => {
  test('is passed by those whom docs/imds.md names, and by nobody else', async ({ boot }) => {
    await using machine = await boot('features', { cloud: 'aws', memoryMiB: 1536 })
    await machine.writeFile(KNOCK, await readFile(join(import.meta.dirname, 'support/knock.pl')))
    await machine.run(['chmod', '644', KNOCK])
    const link = (await machine.run(['sh', '-c', LINK])).stdout.toString().trim()
    // The image's own file has the smaller number, and with it the interface.
    await machine.run(['ln', '-s', '/dev/null', '/run/systemd/network/80-ethernet.network'])
    await makeContainer(machine, link)
    const rows = new Map<string, Record<string, string>>()
    for (const lock of ['none', "systemd's", 'hardened'] as const) {
      await setLock(machine, link, lock)
      for (const filter of ['0', '1', '2'] as const) {
        await machine.run(['sysctl', '-qw', ...['all', link].map((of) => `net.ipv4.conf.${of}.rp_filter=${filter}`)])
        const said = { ...(await knocks(machine, link)), 'the broker': await askBroker(machine) }
        for (const [who, answer] of Object.entries(said)) {
          rows.set(who, { ...rows.get(who), [`${lock} ${filter}`]: answer })
        }
      }
    }
    await keep(rows)
    const reached = [...rows].map(([who, row]) => [
      who,
      Object.fromEntries(Object.entries(row).map(([where, answer]) => [where, answer === 'reached'])),
    ])
    expect(Object.fromEntries(reached)).toEqual(
      Object.fromEntries(Object.entries(EXPECTED).map(([who, locks]) => [who, expectedRow(locks)])),
    )
  })
})

function expectedRow(locks: Readonly<Record<Lock, Reach>>): Record<string, boolean> {
  return Object.fromEntries(
    Object.entries(locks).flatMap(([lock, reach]) =>
      (['0', '1', '2'] as const).map((filter) => [
        `${lock} ${filter}`,
        typeof reach === 'boolean' ? reach : reach[filter],
      ]),
    ),
  )
}

const LINK = "ip -4 -o route show default | sed -E 's/.* dev ([^ ]+).*/\\1/; q'"

function ownAddress(link: string): string {
  return `ip -4 -o address show dev ${link} scope global | sed -E 's/.* ([0-9.]+)\\/.*/\\1/; q'`
}

/** The original writes its own file; ours is what our `--setup-network --hardened-lock` writes. */
async function setLock(machine: TestMachine, link: string, lock: Lock): Promise<void> {
  if (lock === 'hardened') {
    const uid = Number((await machine.run(['id', '--user', 'systemd-imds'])).stdout)
    const text = networkFile({ mode: 'locked', addressIPv4: IPV4, addressIPv6: IPV6, brokerUid: uid })
    await machine.writeFile(NETWORK_FILE, text)
    await machine.run(['chmod', '644', NETWORK_FILE])
  } else {
    const words = `systemd.imds=1 systemd.imds.network=${lock === 'none' ? 'unlocked' : 'locked'}`
    const environment = ['env', `SYSTEMD_PROC_CMDLINE=${words}`]
    await machine.run([...environment, '/usr/lib/systemd/systemd-imdsd', '--setup-network'])
  }
  await machine.run(['networkctl', 'reload'])
  await machine.run(['networkctl', 'reconfigure', link])
  await machine.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--ipv4', '--timeout=60'])
  // The router's word on IPv6 comes when it comes.
  const hasRoute = `until ip -6 route show default dev ${link} | grep -q .; do sleep 0.2; done`
  await machine.run(['timeout', '60', 'sh', '-c', hasRoute])
}

/** A network namespace behind the host, whose address is of the host's own network, so that answers find the way back. */
async function makeContainer(machine: TestMachine, link: string): Promise<void> {
  const script = [
    'sysctl -qw net.ipv4.ip_forward=1',
    `address=$(${ownAddress(link)})`,
    'inner=$(echo "$address" | sed "s/[0-9]*$/200/")',
    'ip netns add container',
    'ip link add host type veth peer name inner netns container',
    'ip link set host up',
    `sysctl -qw net.ipv4.conf.${link}.proxy_arp=1 net.ipv4.conf.host.proxy_arp=1`,
    'ip route add "$inner" dev host',
    'ip -n container link set inner up',
    'ip -n container address add "$inner/32" dev inner',
    'ip -n container route add default dev inner',
  ]
  await machine.run(['sh', '-euc', script.join('\n')])
}

async function knocks(machine: TestMachine, link: string): Promise<Record<string, string>> {
  const container = ['systemd-nspawn', '--quiet', '--pipe', '--register=no', '--keep-unit', '--volatile=yes']
  const said: Record<string, string> = {}
  const address = (await machine.run(['sh', '-c', ownAddress(link)])).stdout.toString().trim()
  for (const [who, words] of Object.entries(KNOCKERS)) {
    const argv = words.flatMap((word) => {
      if (word === 'container' && words[0] === word) {
        return ['env', 'SYSTEMD_LOG_LEVEL=err', ...container, '--directory=/', `--bind-ro=${KNOCK}:/knock.pl`]
      }
      if (word === '%') return [link]
      return word === '§' ? ['perl', words[0] === 'container' ? '/knock.pl' : KNOCK] : [word]
    })
    const { stdout, stderr } = await machine.runUnchecked(['env', `OWN_ADDRESS=${address}`, ...argv])
    said[who] = stdout.toString().trim() || stderr.toString().trim()
  }
  return said
}

async function askBroker(machine: TestMachine): Promise<string> {
  const argv = ['timeout', '5', '/usr/lib/systemd/systemd-imds', '--cache=no', '/meta-data/instance-id']
  const { exitCode, stderr } = await machine.runUnchecked(argv)
  return exitCode === 0 ? 'reached' : exitCode === 124 ? 'no answer' : stderr.toString().trim()
}

/** The whole table, for docs/imds.md. */
async function keep(rows: ReadonlyMap<string, Readonly<Record<string, string>>>): Promise<void> {
  const [first] = rows.values()
  const columns = Object.keys(first ?? {})
  const lines = [...rows].map(([who, row]) => `| ${[who, ...columns.map((column) => row[column] ?? '')].join(' | ')} |`)
  const head = [`| who | ${columns.join(' | ')} |`, `|${' --- |'.repeat(columns.length + 1)}`]
  await writeFile(join(import.meta.dirname, '../out/lockdown.md'), `${[...head, ...lines].join('\n')}\n`)
}
