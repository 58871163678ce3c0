import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { eventually, sh, temporaryUnits } from '../shell.ts'

const NAME = 'bootwright-probe'
const UNIT = `${NAME}.service`
const JOURNAL = `/run/${NAME}.journal`
/** The machine's own /usr with an empty /etc and /var; nobody is there to answer the questions of a first boot. */
const BOOT = `/usr/bin/systemd-nspawn --quiet --volatile=yes --directory=/ --machine=${NAME} --register=no --keep-unit --boot --forward-journal=${JOURNAL} systemd.unit=basic.target systemd.firstboot=no systemd.condition_first_boot=no`

export const forwardJournal: Feature = {
  id: 'forward-journal',
  group: 'containers',
  title: 'A container forwards its journal to the host',
  topic: 'Containers and VMs: nspawn --forward-journal=',
  requires: [
    systemdVersion(261),
    file('/usr/bin/systemd-nspawn', 'systemd-container'),
    file('/usr/lib/systemd/systemd-journal-remote', 'systemd-journal-remote'),
  ],
  async observe({ machine }) {
    await using _units = await temporaryUnits(machine, {
      [UNIT]: `[Service]\nType=notify\nDelegate=yes\nStandardOutput=null\nExecStart=${BOOT}\n`,
    })
    try {
      await machine.run(['systemctl', 'start', UNIT])
      const forwarded = await eventually(
        () => hasBooted(machine, `--file=${JOURNAL}`),
        (found) => found,
        60_000,
      )
      const own = await hasBooted(machine, '--merge')
      const nspawn = 'systemd-nspawn --directory=/ --volatile=yes'
      const limitAlone = await sh(machine, `${nspawn} --forward-journal-max-use=1M true`)
      const taken = await sh(
        machine,
        `${nspawn} --forward-journal=${JOURNAL} --set-credential=journal.forward_to_socket:x true`,
      )
      return [
        claim('the boot of the container is in the file', true, forwarded),
        negative("and in the host's own journal", false, own),
        negative('a limit without forwarding is refused', true, limitAlone.status !== 0),
        negative('a credential of the same name is refused', true, taken.status !== 0),
      ]
    } finally {
      await sh(machine, 'systemctl stop "$1"; rm -f "$2"', UNIT, JOURNAL)
    }
  },
}

async function hasBooted(machine: RunningMachine, source: string): Promise<boolean> {
  const entries = 'journalctl --quiet --output=cat "$1" _HOSTNAME="$2" --grep="Startup finished"'
  return (await sh(machine, entries, source, NAME)).stdout.includes('Startup finished')
}
