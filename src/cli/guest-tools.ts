import { resolve } from 'node:path'
import { Command } from 'commander'
import { guestToolsProgram, writeDebianPackage, writeExtraTree, writeSystemExtension } from '../guest/index.ts'
import { Cache } from '../toolchain/index.ts'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

interface GuestToolsOptions extends ToolchainOptions {
  readonly extraTree?: string
  readonly deb?: string
  readonly sysext?: string
}

export function guestToolsCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('guest-tools'))
    .summary('make the program that stands in for programs of systemd, and print its path')
    .option(
      '--extra-tree <directory>',
      'write it there with its units, user, policy and hardware database, for ExtraTrees= of mkosi',
    )
    .option('--deb <file>', 'write the same as a package for Debian, in the place of systemd-imds')
    .option('--sysext <file>', 'write the same as a system extension for systemd-sysext, NAME.raw')
    .action(async (options: GuestToolsOptions) => {
      const program = await guestToolsProgram(new Cache(), { signal })
      const { extraTree, deb, sysext } = options
      const written: string[] = []
      if (extraTree !== undefined) {
        await writeExtraTree(resolve(extraTree), program)
        written.push(resolve(extraTree))
      }
      if (deb !== undefined || sysext !== undefined) {
        using progress = new Progress()
        const toolchain = await prepareToolchain(options, progress, signal)
        for (const [write, file] of [
          [writeDebianPackage, deb],
          [writeSystemExtension, sysext],
        ] as const) {
          if (file === undefined) continue
          await write(resolve(file), { program, toolchain, signal })
          written.push(resolve(file))
        }
      }
      process.stdout.write(`${(written.length === 0 ? [program] : written).join('\n')}\n`)
    })
}
