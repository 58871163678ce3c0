import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

const DIRECTORY = '/run/systemd/resolve/static.d'
const RECORDS = [
  { key: { name: 'one.bootwright.test', type: 1 }, address: '192.0.2.1' },
  { key: { name: 'six.bootwright.test', type: 28 }, address: '2001:db8::6' },
  { key: { name: 'alias.bootwright.test', type: 5 }, name: 'one.bootwright.test' },
]

export const staticRecords: Feature = {
  id: 'static-records',
  group: 'network',
  title: 'resolved answers from its static records',
  topic: 'Networkd and resolved: static.d',
  requires: [systemdVersion(261), activeUnit('systemd-resolved.service')],
  async observe({ machine }) {
    const before = await addresses(machine, 'one.bootwright.test')
    await machine.writeFile(`${DIRECTORY}/bootwright.rr`, JSON.stringify(RECORDS))
    // Garbage beside it must not matter.
    await machine.writeFile(
      `${DIRECTORY}/bootwright-broken.rr`,
      '[{"key": {"name": "one.bootwright.test", "type": 1},]',
    )
    await machine.run(['systemctl', 'reload', 'systemd-resolved.service'])
    const found = {
      one: await addresses(machine, 'one.bootwright.test'),
      six: await addresses(machine, 'six.bootwright.test'),
      alias: await addresses(machine, 'alias.bootwright.test'),
      below: await addresses(machine, 'below.one.bootwright.test'),
    }
    await machine.run(['rm', `${DIRECTORY}/bootwright.rr`, `${DIRECTORY}/bootwright-broken.rr`])
    await machine.run(['systemctl', 'reload', 'systemd-resolved.service'])
    const after = await addresses(machine, 'one.bootwright.test')
    return [
      claim('an address', '192.0.2.1', found.one),
      claim('an IPv6 address', '2001:db8::6', found.six),
      claim('an alias', '192.0.2.1', found.alias),
      negative('a name below it', 'none', found.below),
      negative('before there was a record', 'none', before),
      negative('after it was removed', 'none', after),
    ]
  },
}

async function addresses(machine: RunningMachine, name: string): Promise<string> {
  const { stdout } = await sh(machine, 'resolvectl query --legend=no --cache=no "$1"', name)
  const found = [...stdout.matchAll(/(?:^|\s)((?:\d+\.){3}\d+|[0-9a-f]*:[0-9a-f:]+)(?=\s|$)/g)].map(
    ([, found = '']) => found,
  )
  return found.length === 0 ? 'none' : [...new Set(found)].join(' ')
}
