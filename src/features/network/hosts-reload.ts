import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

/** Longer than resolved waits before it looks at the file again by itself. */
const OWN_LOOK_MS = 3_000

export const hostsReload: Feature = {
  id: 'hosts-reload',
  group: 'network',
  title: 'resolved reads /etc/hosts again when it is reloaded',
  topic: 'Networkd and resolved: /etc/hosts',
  requires: [systemdVersion(261), activeUnit('systemd-resolved.service')],
  async observe({ machine }) {
    const ask = async () =>
      /(?:\d+\.){3}\d+/.exec((await sh(machine, 'resolvectl query --legend=no hosts.bootwright.test')).stdout)?.[0] ??
      'none'
    // The system need not have one.
    const { exitCode, stdout: original } = await machine.runUnchecked(['cat', '/etc/hosts'])
    const isThere = exitCode === 0
    const write = (address: string) =>
      // In place, of the same size and time: nothing but the content tells that it is another file.
      sh(
        machine,
        'printf "%s hosts.bootwright.test\\n" "$1" | dd of=/etc/hosts bs=1 seek="$2" conv=notrunc status=none; touch --date=@1700000000 /etc/hosts',
        address,
        String(isThere ? original.length : 0),
      )
    try {
      await write('192.0.2.1')
      await machine.run(['systemctl', 'reload', 'systemd-resolved.service'])
      const first = await ask()
      await write('192.0.2.2')
      await new Promise((resolve) => setTimeout(resolve, OWN_LOOK_MS))
      const unseen = await ask()
      await machine.run(['systemctl', 'reload', 'systemd-resolved.service'])
      const second = await ask()
      return [
        claim('a new entry', '192.0.2.1', first),
        negative('changed in place, not reloaded', '192.0.2.1', unseen),
        claim('reloaded', '192.0.2.2', second),
      ]
    } finally {
      if (isThere) await machine.writeFile('/etc/hosts', original)
      else await machine.run(['rm', '-f', '/etc/hosts'])
      await machine.run(['systemctl', 'reload', 'systemd-resolved.service'])
    }
  },
}
