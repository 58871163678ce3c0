import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, type Requirement, systemdVersion } from '../requirement.ts'
import { output, sh } from '../shell.ts'
import { espPath, loaderWord, UNSIGNED_BOOT } from './boot-files.ts'

/** As long as what the image says, and nothing to anybody. */
const [SAID, UNSAID] = ['console=ttyS0', 'consoie=ttyS0']

const TOLD: Requirement = {
  name: `the image does not say ${SAID} in its UKI`,
  isMet: async ({ machine }) => (await consoles(machine)) === SAID,
}

export const serialConsole: Feature = {
  id: 'serial-console',
  group: 'boot-chain',
  title: 'A UKI that names no console gets those that the firmware has',
  topic: 'The boot chain: EFI consoles',
  requires: [systemdVersion(262), file('/usr/bin/bootctl', 'systemd-boot-tools'), TOLD, UNSIGNED_BOOT],
  restarts: true,
  async observe({ machine }) {
    const before = await consoles(machine)
    const expected = await expectedConsoles(machine)
    const uki = `${await espPath(machine)}${(await loaderWord(machine, 'StubImageIdentifier')).replaceAll('\\', '/')}`
    await replace(machine, uki, SAID, UNSAID)
    try {
      await machine.reboot()
      await machine.booted()
      return [
        claim('of a UKI that names none', expected, await consoles(machine)),
        claim('the system uses the serial port', true, /\bttyS0\b/.test(await activeConsoles(machine))),
        negative('of one that names one', SAID, before),
      ]
    } finally {
      await replace(machine, uki, UNSAID, SAID)
    }
  },
}

/** What the stub finds: the serial port, a virtio console if there is one, and the screen, which comes last. */
async function expectedConsoles(machine: RunningMachine): Promise<string> {
  const { stdout } = await sh(
    machine,
    'for device in /sys/bus/pci/devices/*; do read -r vendor <$device/vendor; read -r id <$device/device; read -r class <$device/class; echo "$vendor:$id $class"; done',
  )
  const devices = stdout.split('\n')
  const words = ['console=uart,io,0x3f8']
  if (devices.filter((device) => device.startsWith('0x1af4:0x1003 ')).length === 1) words.push('console=hvc0')
  if (devices.some((device) => / 0x03/.test(device))) words.push('console=tty0')
  return words.join(' ')
}

async function consoles(machine: RunningMachine): Promise<string> {
  const words = (await output(machine, 'cat', '/proc/cmdline')).split(/\s+/)
  return words.filter((word) => word.startsWith('console=')).join(' ')
}

function activeConsoles(machine: RunningMachine): Promise<string> {
  return output(machine, 'cat', '/sys/class/tty/console/active')
}

/** A word of the same length in a UKI, which has it once. */
async function replace(machine: RunningMachine, uki: string, from: string, to: string): Promise<void> {
  const script = '[ "$(grep -aco "$2" "$1")" = 1 ] && sed -i "s/$2/$3/" "$1" && sync'
  await machine.run(['sh', '-euc', script, 'sh', uki, from, to])
}
