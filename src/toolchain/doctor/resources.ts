import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { freeMiB } from '../disk-space.ts'
import { degraded, missing, ok, type Probe } from './probe.ts'

/** A tools tree with its packages, and an image cache beside it. */
const CACHE_MIB = 3_000
/** Two versions of two images, and the disks of a few machines. */
const OUT_MIB = 8_000
const MACHINE_MIB = 1_536

export const cacheDiskProbe: Probe = {
  id: 'disk-cache',
  title: 'Disk space of the cache',
  async run({ cache, toolchain, statFs }) {
    const free = await freeMiB(cache.directory, statFs)
    const found = `${free} MiB free below ${cache.directory}`
    if (free >= CACHE_MIB || (toolchain !== undefined && free >= 500)) return ok(found)
    return missing(found, `Free ${CACHE_MIB} MiB, or set BOOTWRIGHT_CACHE to a directory on a larger disk.`)
  },
}

export const outDiskProbe: Probe = {
  id: 'disk-out',
  title: 'Disk space for images and runs',
  async run({ outDirectory, statFs }) {
    const free = await freeMiB(outDirectory, statFs)
    const found = `${free} MiB free below ${outDirectory}`
    if (free >= OUT_MIB) return ok(found)
    const hint = `Free ${OUT_MIB} MiB; old runs are in out/runs.`
    return free >= OUT_MIB / 2 ? degraded(found, hint) : missing(found, hint)
  },
}

export const memoryProbe: Probe = {
  id: 'memory',
  title: 'Memory',
  async run() {
    const free = await availableMemoryMiB()
    const found = `${free} MiB available`
    if (free >= 2 * MACHINE_MIB) return ok(found)
    const hint = `A machine needs ${MACHINE_MIB} MiB; free some, or raise the limit of the container.`
    return free >= MACHINE_MIB ? degraded(found, hint) : missing(found, hint)
  },
}

export const coresProbe: Probe = {
  id: 'cores',
  title: 'Processor cores',
  async run() {
    const cores = await availableCores()
    const found = `${cores}`
    return cores >= 2 ? ok(found) : degraded(found, 'Two or more make machines boot much faster.')
  },
}

/** Memory that may still be used: what the kernel calls available, within the limits of all control groups above. */
export async function availableMemoryMiB(root = '/'): Promise<number> {
  const meminfo = await readFile(join(root, 'proc/meminfo'), 'utf8')
  let kib = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0)
  for (const group of await controlGroups(root)) {
    const limit = Number(await readLine(join(group, 'memory.max')))
    const used = Number(await readLine(join(group, 'memory.current')))
    const stat = (await readLine(join(group, 'memory.stat'))) ?? ''
    const reclaimable = Number(/^inactive_file (\d+)$/m.exec(stat)?.[1] ?? 0)
    if (Number.isFinite(limit) && Number.isFinite(used)) kib = Math.min(kib, (limit - used + reclaimable) / 1024)
  }
  return Math.max(0, Math.floor(kib / 1024))
}

/** Cores that may be used: the affinity mask, within the quotas of all control groups above. */
export async function availableCores(root = '/', mask = availableParallelism()): Promise<number> {
  let cores = mask
  for (const group of await controlGroups(root)) {
    const [quota, period] = ((await readLine(join(group, 'cpu.max'))) ?? '').split(' ').map(Number)
    if (quota !== undefined && period !== undefined && quota > 0 && period > 0) cores = Math.min(cores, quota / period)
  }
  return Math.max(1, Math.floor(cores))
}

/** The directories of this process's control group and all above it (cgroup v2). */
async function controlGroups(root: string): Promise<string[]> {
  const path = /^0::(\/.*)$/m.exec((await readLine(join(root, 'proc/self/cgroup'))) ?? '')?.[1] ?? '/'
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  return parts
    .map((_, index) => join(root, 'sys/fs/cgroup', ...parts.slice(0, index + 1)))
    .concat(join(root, 'sys/fs/cgroup'))
}

async function readLine(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch {
    return undefined
  }
}
