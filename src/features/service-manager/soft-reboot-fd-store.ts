import { randomBytes } from 'node:crypto'
import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'
import { forget, held, read, store } from './keeper.ts'

const KEEPS = 'bootwright-keeps.service'
const FORGETS = 'bootwright-forgets.service'
/** The memfd and the socket. */
const STORED = 2

export const softRebootFdStore: Feature = {
  id: 'soft-reboot-fd-store',
  group: 'service-manager',
  title: 'A service finds its file descriptors again after a soft reboot',
  topic: 'Kexec handover: FileDescriptorStorePreserve= over soft-reboot',
  requires: [systemdVersion(261)],
  restarts: true,
  async observe({ machine }) {
    // Nobody could know them who has not kept them.
    const words = randomBytes(16).toString('hex')
    await machine.writeFile(`/run/systemd/system/${KEEPS}`, '[Unit]\nDescription=Keeps its file descriptors\n')
    await machine.writeFile(`/run/systemd/system/${FORGETS}`, '[Unit]\nDescription=Forgets its file descriptors\n')
    try {
      await store(machine, KEEPS, 'yes', words)
      await store(machine, FORGETS, 'restart', words)
      const before = { keeps: await held(machine, KEEPS), forgets: await held(machine, FORGETS) }
      const reboots = await softReboots(machine)
      await machine.softReboot()
      await machine.booted()
      const after = { keeps: await held(machine, KEEPS), forgets: await held(machine, FORGETS) }
      const kept = await read(machine, KEEPS, 'yes')
      const forgotten = await read(machine, FORGETS, 'restart')
      return [
        claim('stored, with yes and with restart', `${STORED} ${STORED}`, `${before.keeps} ${before.forgets}`),
        // A reboot that was none would prove nothing.
        claim('soft reboots', reboots + 1, await softReboots(machine)),
        claim('yes, after a soft reboot', STORED, after.keeps),
        claim('their names', 'socket words', kept.names),
        claim('what the memfd says', words, kept.words),
        negative('restart, after a soft reboot', 0, after.forgets),
        negative('and what its memfd says', '', forgotten.words),
      ]
    } finally {
      await forget(machine, KEEPS)
      await forget(machine, FORGETS)
    }
  },
}

async function softReboots(machine: RunningMachine): Promise<number> {
  return Number((await sh(machine, 'systemctl show --property=SoftRebootsCount --value')).stdout)
}
