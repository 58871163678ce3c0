import { claim, type Feature, negative } from '../feature.ts'
import { type Requirement, systemdVersion } from '../requirement.ts'
import { output, sh, temporaryUnits } from '../shell.ts'

const DEVICE = '/dev/liveupdate'
const UNIT = 'bootwright-luo.service'

const WITHOUT: Requirement = {
  name: `the kernel has ${DEVICE}: what is promised without it cannot be seen`,
  isMet: async ({ guest }) => !(await guest.exists(DEVICE)),
}

export const liveUpdateAbsent: Feature = {
  id: 'live-update-absent',
  group: 'service-manager',
  title: 'Without live update in the kernel, services that ask for it start all the same',
  topic: 'Kexec handover: without CONFIG_LIVEUPDATE',
  requires: [systemdVersion(262), WITHOUT],
  async observe({ machine }) {
    await using _units = await temporaryUnits(machine, {
      [UNIT]:
        '[Service]\nType=exec\nLUOSession=bootwright\nExecStart=sh -c \'echo "$${LISTEN_FDS:-0}"; exec sleep infinity\'\n',
    })
    await machine.runUnchecked(['systemctl', 'start', UNIT])
    const property = (name: string, ...unit: string[]) =>
      output(machine, 'systemctl', 'show', '--value', `--property=${name}`, ...unit)
    const { stdout } = await sh(machine, 'journalctl --unit="$1" --output=cat --identifier=sh', UNIT)
    return [
      claim('a unit with LUOSession=', 'active', await property('ActiveState', UNIT)),
      claim('kernels that it went through', '0', await property('KExecCount')),
      negative('descriptors that it was given', '0', stdout.trim()),
    ]
  },
}
