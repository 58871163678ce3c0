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
  /** Pages that they asked the kernel for: how much it had to do, whatever time its host let it take. */
  readonly pageFaults: readonly number[]
}

/** Runs all candidates in turn, there and back again, so that a machine that drifts treats them alike. */
export async function rounds(count: number, candidates: readonly Candidate[]): Promise<Row[]> {
  const seconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const cpuSeconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const userSeconds = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
  const pageFaults = new Map<string, number[]>(candidates.map(({ name }) => [name, []]))
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
      pageFaults.get(name)?.push(after.faults - before.faults)
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
      pageFaults: pageFaults.get(name) ?? [],
    }
  })
}

/** By this process and all its descendants that have ended: CPU seconds (in ticks of 10 ms) and page faults (proc_pid_stat(5)). */
function used(): { readonly user: number; readonly all: number; readonly faults: number } {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const [minflt, cminflt, , , utime, stime, cutime, cstime] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(7, 15)
    .map(Number) as [number, number, number, number, number, number, number, number]
  return {
    user: (utime + cutime) / 100,
    all: (utime + stime + cutime + cstime) / 100,
    faults: minflt + cminflt,
  }
}

/** Prints medians and ratios, and keeps everything as JSON under bench/results/. */
export async function report(title: string, rows: readonly Row[], goals: readonly Goal[]): Promise<void> {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const lines = rows.map(
    ({ name, seconds, median: middle }) =>
      `  ${name.padEnd(width)}  ${middle.toFixed(2)} s  (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})`,
  )
  const ratios = goals.map(({ name, peer, limit }) => {
    const row = rowNamed(rows, name)
    if (peer === undefined) return { name, limit, value: row.median, isMet: row.median <= limit }
    const value = pairedRatio(row.seconds, rowNamed(rows, peer).seconds)
    const cpuRatio = pairedRatio(row.cpuSeconds, rowNamed(rows, peer).cpuSeconds)
    const userRatio = pairedRatio(row.userSeconds, rowNamed(rows, peer).userSeconds)
    const faultRatio = pairedRatio(row.pageFaults, rowNamed(rows, peer).pageFaults)
    return { name, peer, limit, value, cpuRatio, userRatio, faultRatio, isMet: value <= limit }
  })
  for (const { name, peer, limit, value, cpuRatio, userRatio, faultRatio, isMet } of ratios) {
    const claim =
      cpuRatio === undefined
        ? `${name}: ${value.toFixed(3)} s`
        : `${name} / ${peer} = ${value.toFixed(3)} on the clock, ${cpuRatio.toFixed(3)} of CPU, ${userRatio.toFixed(3)} in user mode, ${faultRatio.toFixed(3)} of page faults`
    lines.push(`  ${isMet ? 'met   ' : 'MISSED'} ${claim} (goal: at most ${limit})`)
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
