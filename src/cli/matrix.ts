import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { featureChecks } from '../features/index.ts'
import { builtIdentities } from '../image/index.ts'
import { matrixMarkdown, matrixOf, matrixText, REPORT_SCHEMA, type RunReport } from '../report/index.ts'
import { BootwrightError } from '../system/index.ts'
import { OUT } from './paths.ts'

interface MatrixOptions {
  readonly json: boolean
  readonly markdown: boolean
}

export function matrixCommand(): Command {
  return new Command('matrix')
    .summary('features of systemd × images, from the runs of `verify --features` that are in out/runs')
    .option('--json', 'print it as JSON', false)
    .option('--markdown', 'print it as Markdown', false)
    .action(async ({ json, markdown }: MatrixOptions) => {
      if (json && markdown) throw new BootwrightError('INVALID_ARGUMENT', 'Expected --json or --markdown, found both')
      const matrix = matrixOf(
        featureChecks().map(({ id, title }) => ({ id, title })),
        await reports(join(OUT, 'runs')),
        await builtIdentities(OUT),
      )
      if (json) process.stdout.write(`${JSON.stringify({ schema: 1, ...matrix })}\n`)
      else process.stdout.write(markdown ? matrixMarkdown(matrix) : matrixText(matrix))
    })
}

/** Those of `verify` that can be read: a run that was interrupted has none, and what tests break is not the image's fault. */
async function reports(directory: string): Promise<RunReport[]> {
  const found: RunReport[] = []
  for (const name of await readdir(directory).catch(() => [])) {
    const report = await readReport(join(directory, name, 'report.json'))
    if (report?.run.command.startsWith('./bootwright verify ') === true) found.push(report)
  }
  return found
}

async function readReport(path: string): Promise<RunReport | undefined> {
  try {
    const report = JSON.parse(await readFile(path, 'utf8')) as RunReport
    const isWhole = Array.isArray(report.checks) && report.run?.image && typeof report.run.command === 'string'
    return report.schema === REPORT_SCHEMA && isWhole ? report : undefined
  } catch {
    return undefined
  }
}
