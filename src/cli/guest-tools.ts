import { Command } from 'commander'
import { guestToolsProgram } from '../guest/index.ts'
import { Cache } from '../toolchain/index.ts'

export function guestToolsCommand(signal: AbortSignal): Command {
  return new Command('guest-tools')
    .summary('make the program that stands in for programs of systemd, and print its path')
    .action(async () => {
      process.stdout.write(`${await guestToolsProgram(new Cache(), { signal })}\n`)
    })
}
