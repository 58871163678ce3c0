import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { TEST_FDSTORE } from '../service-manager/fd-store.ts'
import { eventually, output, temporaryUnits } from '../shell.ts'

const UNIT = 'bootwright-container.service'
const STORED = 2

export const nspawnFdStore: Feature = {
  id: 'nspawn-fd-store',
  group: 'containers',
  title: 'A container finds its file descriptors again when it starts anew',
  topic: 'Containers and VMs: FD store of nspawn',
  requires: [
    systemdVersion(261),
    file('/usr/bin/systemd-nspawn', 'systemd-container'),
    file(TEST_FDSTORE, 'systemd-tests'),
  ],
  async observe({ machine }) {
    const kept = await lifeOf(machine, 'FileDescriptorStoreMax=8\nFileDescriptorStorePreserve=yes\n')
    const lost = await lifeOf(machine, '')
    return [
      claim('stored by the payload', STORED, kept.stored),
      claim('still there when it has stopped', STORED, kept.stopped),
      claim('the next payload finds them', 'active', kept.checked),
      negative('without a store of the unit, stored', 0, lost.stored),
      negative('and the next payload', 'failed', lost.checked),
    ]
  },
}

async function lifeOf(machine: RunningMachine, store: string) {
  const nspawn = (program: string) =>
    `[Service]\nType=notify\nNotifyAccess=all\nDelegate=yes\n${store}ExecStart=/usr/bin/systemd-nspawn --quiet --keep-unit --register=no --volatile=yes --directory=/ --notify-ready=no ${program}\n`
  await using _units = await temporaryUnits(machine, { [UNIT]: nspawn(`${TEST_FDSTORE} store`) })
  await machine.runUnchecked(['systemctl', 'start', UNIT])
  const stored = await eventually(
    () => inStore(machine),
    (count) => count >= STORED,
    store === '' ? 3_000 : 20_000,
  )
  await machine.run(['systemctl', 'stop', UNIT])
  const stopped = await inStore(machine)
  await machine.writeFile(`/run/systemd/system/${UNIT}`, nspawn(`${TEST_FDSTORE} check`))
  await machine.run(['systemctl', 'daemon-reload'])
  await machine.runUnchecked(['systemctl', 'start', UNIT])
  const wanted = store === '' ? 'failed' : 'active'
  const checked = await eventually(
    () => state(machine),
    (now) => now === wanted || now === 'failed',
    10_000,
  )
  return { stored, stopped, checked }
}

async function state(machine: RunningMachine): Promise<string> {
  return output(machine, 'systemctl', 'show', '--value', '--property=ActiveState', UNIT)
}

async function inStore(machine: RunningMachine): Promise<number> {
  return Number(await output(machine, 'systemctl', 'show', '--value', '--property=NFileDescriptorStore', UNIT))
}
