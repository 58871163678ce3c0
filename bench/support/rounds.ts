import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { BootwrightError, run } from '../../src/system/index.ts'

/** One thing that is timed: resolves with its seconds. */
export interface Candidate {
  readonly name: string
  /** Makes ready what is not to be timed. */
  prepare?(): Promise<unknown>
  run(): Promise<number>
}

/** A claim, checked by eye and kept with the numbers: `name` takes at most `limit` times `peer`, or at most `limit` seconds. */
export interface Goal {
  readonly name: string
  readonly peer?: string
  readonly limit: number
  /** `work`: of the time in user mode, and of what the kernel did, where its host's part of the time is too large to see it by. */
  readonly of?: 'clock' | 'work'
}

export interface Row {
  readonly name: string
  readonly seconds: readonly number[]
  readonly median: number
  /** Of all processes, user and system. */
  readonly cpuSeconds: readonly number[]
  /**
   * Of them in user mode alone. What the kernel needs for the same work follows what its host has left of its memory:
   * 49 s to 86 s for one build, of which 31.1 s to 31.5 s were in user mode.
   */
  readonly userSeconds: readonly number[]
  /**
   * Pages of memory that the kernel of the whole machine gave out meanwhile (`pgalloc_*` of /proc/vmstat): what it had to do,
   * however long its host let that take. For one build these were 1,969,291 and 1,972,164 in 44 s and in 47 s of the kernel.
   */
  readonly pages: readonly number[]
}

/** Runs all candidates in turn, there and back again, so that a machine that drifts treats them alike. */
export async function rounds(count: number, candidates: readonly Candidate[]): Promise<Row[]> {
  const seconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const cpuSeconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const userSeconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const pages = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  for (let round = 1; round <= count; round++) {
    for (const { name, prepare, run: timed } of round % 2 === 1 ? candidates : candidates.toReversed()) {
      await prepare?.()
      // Nobody pays for what the one before has left to be written.
      await run({ argv: ['sync'] })
      const before = used()
      const took = await timed()
      const after = used()
      const [cpu, user] = [after.all - before.all, after.user - before.user]
      seconds.get(name)?.push(took)
      cpuSeconds.get(name)?.push(cpu)
      userSeconds.get(name)?.push(user)
      pages.get(name)?.push(after.pages - before.pages)
      process.stderr.write(
        `round ${round} of ${count}: ${name} ${took.toFixed(2)} s, ${cpu.toFixed(2)} s of CPU, ${user.toFixed(2)} s in user mode\n`,
      )
    }
  }
  return candidates.map(({ name }) => {
    const all = seconds.get(name) ?? []
    return {
      name,
      seconds: all,
      median: median(all),
      cpuSeconds: cpuSeconds.get(name) ?? [],
      userSeconds: userSeconds.get(name) ?? [],
      pages: pages.get(name) ?? [],
    }
  })
}

/** CPU seconds of this process and all its descendants that have ended (proc_pid_stat(5), in ticks of 10 ms); pages of the machine. */
function used(): { readonly user: number; readonly all: number; readonly pages: number } {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const [utime, stime, cutime, cstime] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number) as [number, number, number, number]
  return {
    user: (utime + cutime) / 100,
    all: (utime + stime + cutime + cstime) / 100,
    pages: readFileSync('/proc/vmstat', 'utf8')
      .matchAll(/^pgalloc_\w+ (\d+)$/gm)
      .reduce((sum, [, count]) => sum + Number(count), 0),
  }
}

/** Prints medians and ratios, and keeps everything as JSON under bench/results/. */
export async function report(title: string, rows: readonly Row[], goals: readonly Goal[]): Promise<void> {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const lines = rows.map(
    ({ name, seconds, median: middle }) =>
      `  ${name.padEnd(width)}  ${middle.toFixed(2)} s  (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})`,
  )
  const ratios = goals.map(({ name, peer, limit, of = 'clock' }) => {
    const row = rowNamed(rows, name)
    if (peer === undefined) return { name, limit, value: row.median, isMet: row.median <= limit }
    const value = pairedRatio(row.seconds, rowNamed(rows, peer).seconds)
    const cpuRatio = pairedRatio(row.cpuSeconds, rowNamed(rows, peer).cpuSeconds)
    const userRatio = pairedRatio(row.userSeconds, rowNamed(rows, peer).userSeconds)
    const pagesRatio = pairedRatio(row.pages, rowNamed(rows, peer).pages)
    const isMet = of === 'work' ? Math.max(userRatio, pagesRatio) <= limit : value <= limit
    return { name, peer, of, limit, value, cpuRatio, userRatio, pagesRatio, isMet }
  })
  for (const { name, peer, of, limit, value, cpuRatio, userRatio, pagesRatio, isMet } of ratios) {
    const claim =
      cpuRatio === undefined
        ? `${name}: ${value.toFixed(3)} s`
        : `${name} / ${peer} = ${value.toFixed(3)} on the clock, ${cpuRatio.toFixed(3)} of CPU, ${userRatio.toFixed(3)} in user mode, ${pagesRatio.toFixed(3)} of pages`
    lines.push(
      `  ${isMet ? 'met   ' : 'MISSED'} ${claim} (goal: at most ${limit}${of === 'work' ? ' in user mode and of pages' : ''})`,
    )
  }
  process.stdout.write(`${title}\n${lines.join('\n')}\n`)
  await keepResult(title, { rows, ratios })
}

/** Keeps figures as JSON under bench/results/, with the host that they were measured on. */
export async function keepResult(title: string, figures: object): Promise<void> {
  const directory = join(import.meta.dirname, '../results')
  await mkdir(directory, { recursive: true })
  const host = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() }
  const result = { schema: 1, title, at: new Date().toISOString(), host, ...figures }
  await writeFile(join(directory, `${title}.json`), `${JSON.stringify(result, null, 2)}\n`)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** The median of each round's own ratio: a machine that is slow for a while is slow for both sides of it. */
function pairedRatio(values: readonly number[], peers: readonly number[]): number {
  return median(values.map((value, round) => value / (peers[round] ?? Number.NaN)))
}

function rowNamed(rows: readonly Row[], name: string): Row {
  const found = rows.find((row) => row.name === name)
  if (found === undefined) throw new BootwrightError('BUG', `The benchmark has no candidate "${name}"`)
  return found
}
