import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { output } from '../shell.ts'
import { deleteVariable, espPath, loaderWord, readVariable, UNSIGNED_BOOT, writeVariable } from './boot-files.ts'

const SOURCE = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi'
const SAVED = '/var/tmp/bootwright-esp'
const FALLBACK = String.raw`\EFI\systemd\systemd-boot-fallbackx64.efi`

export const fallbackEntry: Feature = {
  id: 'fallback-entry',
  group: 'boot-chain',
  title: 'The firmware has an entry for the boot loader before the update, and starts it',
  topic: 'The boot chain: Fallback Linux Boot Manager',
  requires: [
    systemdVersion(261),
    file('/usr/bin/bootctl', 'systemd-boot-tools'),
    file(SOURCE, 'systemd-boot-efi'),
    UNSIGNED_BOOT,
  ],
  restarts: true,
  async observe({ machine }) {
    const esp = await espPath(machine)
    const order = (await readVariable(machine, 'BootOrder')) ?? Buffer.alloc(0)
    const started = await loaderWord(machine, 'LoaderImageIdentifier')
    await machine.run(['cp', '-R', `${esp}/EFI`, SAVED])
    let made: Entry[] = []
    try {
      await machine.run(['bootctl', '--random-seed=no', 'install'])
      await age(machine, `${esp}/EFI/systemd/systemd-bootx64.efi`)
      await machine.run(['bootctl', '--graceful', '--random-seed=no', 'update'])
      made = (await entries(machine)).filter(({ name }) => !numbers(order).includes(name))
      const [first, second] = made
      const old = await digest(machine, `${esp}/EFI/systemd/systemd-boot-fallbackx64.efi`)
      if (second !== undefined) await writeVariable(machine, 'BootNext', Buffer.from(second.name, 'hex').reverse())
      const bootId = await output(machine, 'cat', '/proc/sys/kernel/random/boot_id')
      await machine.reboot()
      await machine.booted()
      return [
        claim('entries that bootctl has made', 2, made.length),
        claim('the second is named after the first', `Fallback ${first?.title}`, second?.title ?? 'none'),
        claim('another boot', true, (await output(machine, 'cat', '/proc/sys/kernel/random/boot_id')) !== bootId),
        claim('the boot loader that was started from it', FALLBACK, await loaderWord(machine, 'LoaderImageIdentifier')),
        negative('and before', true, started !== FALLBACK && started !== ''),
        negative('what was started is the new one', false, old === (await digest(machine, SOURCE))),
      ]
    } finally {
      for (const { name } of made) await deleteVariable(machine, `Boot${name}`)
      if (order.length > 0) await writeVariable(machine, 'BootOrder', order)
      await machine.run(['sh', '-euc', 'rm -rf "$1/EFI"; cp -R "$2" "$1/EFI"; rm -rf "$2"; sync', 'sh', esp, SAVED])
    }
  },
}

interface Entry {
  /** Four digits, as in `Boot0003`. */
  readonly name: string
  readonly title: string
}

/** The entries of the boot manager in their order (UEFI, 3.1.3). */
async function entries(machine: RunningMachine): Promise<Entry[]> {
  const found: Entry[] = []
  for (const name of numbers((await readVariable(machine, 'BootOrder')) ?? Buffer.alloc(0))) {
    const option = await readVariable(machine, `Boot${name}`)
    // Attributes and the length of the device path, then the title as UCS-2.
    const title = option?.subarray(6).toString('utf16le').replace(/\0.*$/s, '') ?? ''
    found.push({ name, title })
  }
  return found
}

function numbers(order: Buffer): string[] {
  const names: string[] = []
  for (let offset = 0; offset + 2 <= order.length; offset += 2) {
    names.push(order.readUInt16LE(offset).toString(16).toUpperCase().padStart(4, '0'))
  }
  return names
}

/** Lets a boot loader say that it is one version older. */
async function age(machine: RunningMachine, path: string): Promise<void> {
  const script =
    'version=$(grep -ao "#### LoaderInfo: systemd-boot [0-9]*" "$1" | grep -o "[0-9]*$" | head -n1) && sed -i "s/#### LoaderInfo: systemd-boot $version/#### LoaderInfo: systemd-boot $((version - 1))/" "$1"'
  await machine.run(['sh', '-euc', script, 'sh', path])
}

async function digest(machine: RunningMachine, path: string): Promise<string> {
  return (await output(machine, 'sha256sum', path)).slice(0, 64)
}
