import { resolve } from 'node:path'
import { Command } from 'commander'
import { guestToolsProgram, writeExtraTree } from '../guest/index.ts'
import { Cache } from '../toolchain/index.ts'

export function guestToolsCommand(signal: AbortSignal): Command {
  return new Command('guest-tools')
    .summary('make the program that stands in for programs of systemd, and print its path')
    .option(
      '--extra-tree <directory>',
      'write it there with its units, user, policy and hardware database, for ExtraTrees= of mkosi',
    )
    .action(async ({ extraTree }: { extraTree?: string }) => {
      const program = await guestToolsProgram(new Cache(), { signal })
      if (extraTree !== undefined) await writeExtraTree(resolve(extraTree), program)
      process.stdout.write(`${extraTree === undefined ? program : resolve(extraTree)}\n`)
    })
}
