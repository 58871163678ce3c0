/**
 * Gives each parser a million mutated inputs, guided by what they run; each in a process of its own, two at a time. What
 * it finds is printed, with the input; the corpus grows by what ran something new.
 *
 * Usage: node fuzz/run.ts [--inputs N] [--seed N] [--save] [target…]
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { keepResult } from '../bench/support/rounds.ts'
import { unknownName } from '../src/system/index.ts'
import { extendCorpus, readCorpus } from './corpus.ts'
import { fuzzTarget } from './fuzz-target.ts'
import { TARGETS } from './targets.ts'

const MAX_RESIDENT_MIB = 512
/** Shorter runs are tries. */
const KEPT_INPUTS = 1_000_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    save: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
})

/** What a process tells of its target. */
interface Report {
  readonly target: string
  readonly inputs: number
  readonly accepted: number
  readonly seconds: number
  readonly slowestMs: number
  readonly peakResidentMiB: number
  readonly coverage: readonly [number, number]
  readonly corpus: number
  readonly findings: readonly { readonly kind: string; readonly problem: string; readonly input: string }[]
}

if (values.child) process.stdout.write(JSON.stringify(await fuzzOne(positionals[0] ?? '')))
else await fuzzAll()

async function fuzzOne(name: string): Promise<Report> {
  const target = TARGETS[name]
  if (target === undefined) throw unknownName('target', name, Object.keys(TARGETS))
  const corpus = readCorpus(name)
  const begun = performance.now()
  const result = await fuzzTarget(target, corpus, { inputs: Number(values.inputs), seed: Number(values.seed) })
  if (values.save) extendCorpus(name, result.found)
  return {
    target: name,
    inputs: result.inputs,
    accepted: result.accepted,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    slowestMs: Math.round(result.slowestMs),
    peakResidentMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    coverage: result.coverage,
    corpus: corpus.length + result.found.length,
    findings: result.findings.map(({ kind, problem, input }) => {
      return { kind, problem, input: Buffer.from(input).toString('base64') }
    }),
  }
}

async function fuzzAll(): Promise<void> {
  const names = positionals.length === 0 ? Object.keys(TARGETS) : positionals
  const waiting = [...names]
  const reports: Report[] = []
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const report = await inChild(name)
        reports.push(report)
        process.stdout.write(line(report))
        await keepFindings(report)
      }
    }),
  )
  const isClean = reports.every(isCleanReport)
  if (Number(values.inputs) >= KEPT_INPUTS) {
    const others = lastReports().filter(({ target }) => target in TARGETS && !names.includes(target))
    const all = [...others, ...reports].sort((a, b) => a.target.localeCompare(b.target))
    await keepResult('fuzz', { isClean: all.every(isCleanReport), reports: all })
  }
  process.exitCode = isClean ? 0 : 1
}

function isCleanReport({ findings, peakResidentMiB }: Report): boolean {
  return findings.length === 0 && peakResidentMiB <= MAX_RESIDENT_MIB
}

/** Of the targets that this run leaves out. */
function lastReports(): readonly Report[] {
  const path = join(import.meta.dirname, '../bench/results/fuzz.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { reports: Report[] }).reports : []
}

async function inChild(name: string): Promise<Report> {
  const options = [`--inputs=${values.inputs}`, `--seed=${values.seed}`, ...(values.save ? ['--save'] : [])]
  const child = spawn(process.execPath, [import.meta.filename, '--child', ...options, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said = await text(child.stdout)
  if (said === '') throw new Error(`The process of ${name} ended without a word`)
  return JSON.parse(said) as Report
}

/** In `out/fuzz`, for whoever has to look. */
async function keepFindings({ target, findings }: Report): Promise<void> {
  const directory = join(import.meta.dirname, '../out/fuzz')
  if (findings.length > 0) await mkdir(directory, { recursive: true })
  for (const [index, { kind, problem, input }] of findings.entries()) {
    const path = join(directory, `${target}-${index + 1}`)
    await writeFile(path, Buffer.from(input, 'base64'))
    process.stdout.write(`  ${kind}: ${problem}\n  input: ${path}\n`)
  }
}

function line(report: Report): string {
  const facts = [
    `${report.inputs} inputs in ${report.seconds} s`,
    `${report.accepted} taken`,
    `slowest ${report.slowestMs} ms`,
    `${report.peakResidentMiB} MiB`,
    `coverage ${report.coverage.join(' -> ')}`,
    `corpus ${report.corpus}`,
  ]
  return `${report.target.padEnd(16)} ${facts.join(', ')}\n`
}
