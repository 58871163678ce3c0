import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file } from '../requirement.ts'
import { sh } from '../shell.ts'

const SECRET = '/run/systemd/stub/boot-secret'

export const bootSecret: Feature = {
  id: 'boot-secret',
  group: 'boot-chain',
  title: 'The stub hands over a secret that only root reads, the same at each boot',
  topic: 'The boot chain: boot secret',
  requires: [file(SECRET, 'systemd-boot-efi 261, and a UKI that has booted')],
  restarts: true,
  async observe({ machine }) {
    const { stdout } = await sh(machine, `stat --format='%s %a %U' ${SECRET}`)
    const { status: asOther } = await sh(
      machine,
      `setpriv --reuid=nobody --regid=nogroup --clear-groups cat ${SECRET} >/dev/null`,
    )
    const before = await digest(machine)
    const bootId = await bootIdOf(machine)
    await machine.reboot()
    await machine.booted()
    const { stdout: variables } = await sh(machine, 'ls /sys/firmware/efi/efivars')
    return [
      claim('size, mode and owner', '32 400 root', stdout.trim()),
      // A reboot that was none would prove nothing.
      claim('another boot', true, (await bootIdOf(machine)) !== bootId),
      claim('the same after a reboot, by digest', before, await digest(machine)),
      claim('the firmware has other variables of the loader', true, /^(?:Loader|Stub)/m.test(variables)),
      negative('another user reads it', false, asOther === 0),
      negative('the variable behind it is seen by the system', false, /^LoaderBootSecret-/m.test(variables)),
    ]
  },
}

async function bootIdOf(machine: RunningMachine): Promise<string> {
  return (await sh(machine, 'cat /proc/sys/kernel/random/boot_id')).stdout.trim()
}

/** The secret itself stays where it is. */
async function digest(machine: RunningMachine): Promise<string> {
  return (await sh(machine, `sha256sum <${SECRET}`)).stdout.slice(0, 64)
}
