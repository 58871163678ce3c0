import type { RunningMachine } from '../../machine/index.ts'
import { type Claim, claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { eventually, output, sh, temporaryUnits } from '../shell.ts'

/** Of Debian's systemd-tests: stores two memfds and waits, or checks that they came back. */
export const TEST_FDSTORE = '/usr/lib/systemd/tests/unit-tests/manual/test-fdstore'
const STORED = 2

export const fdStore: Feature = {
  id: 'fd-store',
  group: 'service-manager',
  title: 'A service finds its file descriptors again after it was restarted or stopped',
  topic: 'Kexec handover: FileDescriptorStorePreserve=',
  requires: [systemdVersion(261), file(TEST_FDSTORE, 'systemd-tests')],
  async observe({ machine }) {
    return [
      ...(await preserved(machine, 'yes', 'stop', STORED)),
      ...(await preserved(machine, 'on-success', 'stop', STORED)),
      // Who is killed has not succeeded.
      ...(await preserved(machine, 'on-success', 'kill --signal=KILL', 0)),
      ...(await preserved(machine, 'restart', 'stop', 0)),
      ...(await preserved(machine, 'no', 'restart', 0)),
    ]
  },
}

/** What is left in the store of a service when it has been ended. */
async function preserved(machine: RunningMachine, mode: string, end: string, left: number): Promise<Claim[]> {
  const name = 'bootwright-fdstore.service'
  const unit = (program: string) =>
    `[Service]\nType=exec\nNotifyAccess=all\nFileDescriptorStoreMax=8\nFileDescriptorStorePreserve=${mode}\nExecStart=${program}\n`
  await using _units = await temporaryUnits(machine, { [name]: unit(`${TEST_FDSTORE} store`) })
  await machine.run(['systemctl', 'start', name])
  const stored = await eventually(
    () => inStore(machine, name),
    (count) => count === STORED,
  )
  if (end === 'restart') await machine.writeFile(`/run/systemd/system/${name}`, unit('sleep infinity'))
  if (end === 'restart') await machine.run(['systemctl', 'daemon-reload'])
  await machine.run(['systemctl', ...end.split(' '), name])
  const after = await eventually(
    () => inStore(machine, name),
    (count) => count === left,
    5_000,
  )
  await sh(machine, 'systemctl clean --what=fdstore "$1"', name)
  const what = `${mode}, after ${end}`
  return [claim(`${mode}, stored`, STORED, stored), (left === 0 ? negative : claim)(what, left, after)]
}

async function inStore(machine: RunningMachine, unit: string): Promise<number> {
  return Number(await output(machine, 'systemctl', 'show', '--value', '--property=NFileDescriptorStore', unit))
}
