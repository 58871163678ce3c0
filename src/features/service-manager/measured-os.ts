import { claim, type Feature, negative } from '../feature.ts'
import { systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

export const measuredOs: Feature = {
  id: 'measured-os',
  group: 'service-manager',
  title: 'ConditionSecurity=measured-os tells whether the system was measured',
  topic: 'Measured boot: ConditionSecurity=measured-os',
  requires: [systemdVersion(261)],
  async observe({ machine, guest }) {
    const holds = async (condition: string, force = '') =>
      (await sh(machine, `${force} systemd-analyze condition "ConditionSecurity=$1"`, condition)).status === 0
    const isMeasured = await guest.hasTpm()
    return [
      claim(`measured-uki, ${isMeasured ? 'with' : 'without'} a TPM`, isMeasured, await holds('measured-uki')),
      claim(`measured-os, ${isMeasured ? 'with' : 'without'} a TPM`, isMeasured, await holds('measured-os')),
      negative(
        'measured-os, told otherwise',
        !isMeasured,
        await holds('measured-os', `SYSTEMD_FORCE_MEASURE=${isMeasured ? 0 : 1}`),
      ),
      negative(
        'measured-uki, which nobody can tell',
        isMeasured,
        await holds('measured-uki', 'SYSTEMD_FORCE_MEASURE=0'),
      ),
      negative('a condition that there is not', false, await holds('measured-nothing')),
    ]
  },
}
