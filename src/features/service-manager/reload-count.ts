import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { eventually, sh } from '../shell.ts'

const BUS =
  'busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager ReloadCount'
const VARLINK = 'varlinkctl call --json=short /run/systemd/io.systemd.Manager io.systemd.Manager.Describe {}'

export const reloadCount: Feature = {
  id: 'reload-count',
  group: 'service-manager',
  title: 'The manager counts its reloads',
  topic: 'Fleet rollouts: ReloadCount',
  requires: [systemdVersion(261), file('/usr/bin/busctl', 'systemd'), file('/usr/bin/varlinkctl', 'systemd')],
  async observe({ machine }) {
    await machine.run(['systemctl', 'daemon-reload'])
    const before = await counts(machine)
    await machine.run(['systemctl', 'daemon-reload'])
    const once = await counts(machine)
    for (let reload = 0; reload < 2; reload++) await machine.run(['systemctl', 'daemon-reload'])
    const thrice = await counts(machine)
    // A failed reload is none.
    await sh(machine, 'systemctl start bootwright-there-is-none.service')
    const idle = await counts(machine)
    await machine.run(['systemctl', 'daemon-reexec'])
    const anew = await eventually(
      () => counts(machine),
      ({ bus, varlink }) => bus === 0 && varlink === 0,
    )
    return [
      claim('D-Bus and Varlink agree', before.bus, before.varlink),
      claim('after one more reload', before.bus + 1, once.bus),
      claim('after three', before.bus + 3, thrice.bus),
      claim('after three, over Varlink', before.bus + 3, thrice.varlink),
      negative('after no reload', thrice.bus, idle.bus),
      negative('in a manager that was executed anew', 0, anew.bus),
    ]
  },
}

async function counts(machine: RunningMachine): Promise<{ bus: number; varlink: number }> {
  const bus = Number(/^t (\d+)$/m.exec((await sh(machine, BUS)).stdout)?.[1] ?? Number.NaN)
  const varlink = Number(/"ReloadCount":(\d+)/.exec((await sh(machine, VARLINK)).stdout)?.[1] ?? Number.NaN)
  return { bus, varlink }
}
