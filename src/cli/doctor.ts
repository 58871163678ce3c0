import { styleText } from 'node:util'
import { Command } from 'commander'
import { Cache, examine, type Finding, findPackageSources, readyToolchain } from '../toolchain/index.ts'
import { OUT } from './paths.ts'
import { setupOptions, type ToolchainOptions, withToolchainOptions } from './toolchain-options.ts'

const MARKS = { ok: '✓', degraded: '!', missing: '✗' } as const
const COLORS = { ok: 'green', degraded: 'yellow', missing: 'red' } as const

export function doctorCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('doctor'))
    .summary('tell what this host can do, and what to do about the rest')
    .option('--json', 'print machine-readable output', false)
    .action(async (options: ToolchainOptions & { json: boolean }) => {
      const cache = new Cache()
      const setup = { ...setupOptions(options), cache, signal }
      let toolchainError: unknown
      const toolchain = await readyToolchain(setup).catch((error: unknown) => {
        toolchainError = error
        return undefined
      })
      const print = options.json ? undefined : (finding: Finding) => process.stdout.write(line(finding))
      const findings = await examine(
        { cache, outDirectory: OUT, toolchain, toolchainError, sources: () => findPackageSources(setup), signal },
        print,
      )
      const isUsable = findings.every(({ status }) => status !== 'missing')
      if (options.json) process.stdout.write(`${JSON.stringify({ schema: 1, isUsable, findings })}\n`)
      if (!isUsable) process.exitCode = 3
    })
}

function line({ title, status, found, hint }: Finding): string {
  const mark = styleText(COLORS[status], MARKS[status])
  const advice = hint === undefined ? '' : `\n    ${styleText('dim', hint)}`
  return `${mark} ${title}: ${found}${advice}\n`
}
