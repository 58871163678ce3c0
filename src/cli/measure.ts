import { Command } from 'commander'
import { guestTool, processOutput } from '../guest/index.ts'

/** In the list of commands: its command line is not ours, so it never gets as far as being parsed here. */
export function measureCommand(): Command {
  return new Command('measure')
    .summary('compute and sign PCR 11 of a unified kernel image: the command line of systemd-measure(1)')
    .argument('[arguments...]')
}

/** `systemd-measure` by another name: its own options, its own words. Resolves with the exit status. */
export async function runMeasure(argv: readonly string[]): Promise<number> {
  return guestTool('systemd-measure')(argv, processOutput())
}
