import { Command } from 'commander'
import { Progress } from './progress.ts'
import { prepareToolchain, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

export function setupCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('setup'))
    .summary('make everything ready that the other commands need')
    .description(
      'Makes everything ready that the other commands need. They call it themselves; nothing happens when it is done.',
    )
    .option('--json', 'print machine-readable output', false)
    .action(async (options: ToolchainOptions & { json: boolean }) => {
      using progress = new Progress()
      const { kind, root, identity, versions } = await prepareToolchain(options, progress, signal)
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ schema: 1, kind, root, identity, versions })}\n`)
        return
      }
      process.stdout.write(`Ready: ${kind} tools in ${root}\n`)
      for (const [name, version] of Object.entries(versions)) process.stdout.write(`  ${name} ${version}\n`)
    })
}
