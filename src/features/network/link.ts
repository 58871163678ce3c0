import type { RunningMachine } from '../../machine/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { output } from '../shell.ts'

/** The first link that networkd has configured by DHCP. */
export async function leasedLink(machine: RunningMachine): Promise<string> {
  const link = /^\s*\d+\s+(\S+)\s+ether\s+\S+\s+configured\s*$/m.exec(
    await output(machine, 'networkctl', 'list', '--no-pager', '--no-legend'),
  )?.[1]
  if (link !== undefined) return link
  throw new BootwrightError('GUEST_COMMAND_FAILED', 'Expected a link that networkd has configured, found none')
}
