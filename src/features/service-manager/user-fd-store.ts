import { randomBytes } from 'node:crypto'
import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'
import { forget, held, type Kept, type Manager, preserving, read, store } from './keeper.ts'

/** root's own: no user has to be made for it. */
const USER_MANAGER = 'user@0.service'
const DROP_IN = `/run/systemd/system/${USER_MANAGER}.d/50-bootwright.conf`
const MANAGER: Manager = {
  systemctl: ['env', 'XDG_RUNTIME_DIR=/run/user/0', 'systemctl', '--user'],
  unitDirectory: '/run/systemd/user',
}
const SERVICE = 'bootwright-user-fd.service'

export const userFdStore: Feature = {
  id: 'user-fd-store',
  group: 'service-manager',
  title: 'A service of a user finds its file descriptors again after the manager of the user was restarted',
  topic: 'Kexec handover: FileDescriptorStorePreserve= of user units',
  requires: [systemdVersion(261), file('/usr/lib/pam.d/systemd-user', 'libpam-systemd')],
  async observe({ machine }) {
    // Nobody could know them who has not kept them.
    const words = randomBytes(16).toString('hex')
    const with_ = await lifeOf(machine, words, `[Service]\n${preserving('yes')}`)
    const without = await lifeOf(machine, words, '')
    return [
      claim('stored by the service', 2, with_.stored),
      // And a memfd that says which is whose.
      claim('held for its manager', 3, with_.above),
      claim('held after the restart', 2, with_.held),
      claim('their names', 'socket words', with_.kept.names),
      claim('what the memfd says', words, with_.kept.words),
      negative('a manager without a store: held for it', 0, without.above),
      negative('held after the restart', 0, without.held),
      negative('what its memfd says', '', without.kept.words),
    ]
  },
}

async function lifeOf(machine: RunningMachine, words: string, dropIn: string) {
  await machine.writeFile(DROP_IN, dropIn)
  await machine.writeFile(`${MANAGER.unitDirectory}/${SERVICE}`, '[Unit]\nDescription=Keeps its file descriptors\n')
  await machine.run(['systemctl', 'daemon-reload'])
  await machine.run(['systemctl', 'restart', USER_MANAGER])
  try {
    await store(machine, SERVICE, 'yes', words, MANAGER)
    const stored = await held(machine, SERVICE, MANAGER)
    const above = await held(machine, USER_MANAGER)
    await machine.run(['systemctl', 'restart', USER_MANAGER])
    const after = await held(machine, SERVICE, MANAGER)
    const kept: Kept = await read(machine, SERVICE, 'yes', MANAGER)
    return { stored, above, held: after, kept }
  } finally {
    await forget(machine, SERVICE, MANAGER)
    await sh(
      machine,
      'systemctl stop "$1"; systemctl clean --what=fdstore "$1"; rm -f "$2"; systemctl daemon-reload',
      USER_MANAGER,
      DROP_IN,
    )
  }
}
