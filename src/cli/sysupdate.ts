import { Command } from 'commander'
import { processOutput, sysupdate, VERSION } from '../guest/index.ts'

/** In the list of commands: its command line is not ours, so it never gets as far as being parsed here. */
export function sysupdateCommand(): Command {
  return new Command('sysupdate')
    .summary('show, acquire, install and delete versions of a system: the command line of systemd-sysupdate(8)')
    .argument('[arguments...]')
}

/** `systemd-sysupdate` by another name: its own options, its own words. Resolves with the exit status. */
export async function runSysupdate(argv: readonly string[]): Promise<number> {
  return sysupdate(argv, processOutput(), { version: VERSION })
}
