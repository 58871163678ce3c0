import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

const SOURCE = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi'
/** A copy of the boot partition, so that the real one stays as it was measured. */
const ESP = '/run/bootwright-esp'
const PRIMARY = `${ESP}/EFI/systemd/systemd-bootx64.efi`
/** Which is updated as well, but not kept. */
const DEFAULT = `${ESP}/EFI/BOOT/BOOTX64.EFI`
const FALLBACK = `${ESP}/EFI/systemd/systemd-boot-fallbackx64.efi`

export const fallbackLoader: Feature = {
  id: 'fallback-loader',
  group: 'boot-chain',
  title: 'An update of the boot loader keeps the one before it',
  topic: 'The boot chain: systemd-boot-fallback',
  requires: [systemdVersion(261), file('/usr/bin/bootctl', 'systemd-boot-tools'), file(SOURCE, 'systemd-boot-efi')],
  async observe({ machine }) {
    await sh(machine, `mkdir -p ${ESP}/EFI/systemd ${ESP}/loader`)
    try {
      await machine.run(['cp', SOURCE, PRIMARY])
      const same = await update(machine)
      const sameHasFallback = await exists(machine, FALLBACK)
      const older = await age(machine)
      const updated = await update(machine)
      return [
        negative('of the same version nothing is kept', false, sameHasFallback),
        negative('and nothing is updated', true, same.status !== 0),
        claim('of an older one, the update succeeds', 0, updated.status),
        claim('the new one is in place', await digest(machine, SOURCE), await digest(machine, PRIMARY)),
        claim('the old one is kept', older, await digest(machine, FALLBACK)),
      ]
    } finally {
      await machine.run(['rm', '-rf', ESP])
    }
  },
}

function update(machine: RunningMachine) {
  const relaxed = 'SYSTEMD_RELAX_ESP_CHECKS=1'
  return sh(machine, `${relaxed} bootctl update --no-variables --esp-path=${ESP} 2>&1`)
}

/** Lets the installed loader say that it is one version older; resolves with its digest. */
async function age(machine: RunningMachine): Promise<string> {
  const script = `version=$(grep -ao '#### LoaderInfo: systemd-boot [0-9]*' ${PRIMARY} | grep -o '[0-9]*$' | head -n1) && sed -i "s/#### LoaderInfo: systemd-boot $version/#### LoaderInfo: systemd-boot $((version - 1))/" ${PRIMARY} && cp ${PRIMARY} ${DEFAULT}`
  await machine.run(['sh', '-euc', script])
  return digest(machine, PRIMARY)
}

async function digest(machine: RunningMachine, path: string): Promise<string> {
  const { stdout } = await sh(machine, 'sha256sum <"$1"', path)
  return stdout.slice(0, 64)
}

async function exists(machine: RunningMachine, path: string): Promise<boolean> {
  return (await sh(machine, 'test -e "$1"', path)).status === 0
}
