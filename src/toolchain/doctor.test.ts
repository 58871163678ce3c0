import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BootwrightError } from '../system/index.ts'
import { Cache } from './cache.ts'
import { mountProbe, userNamespaceProbe } from './doctor/namespaces.ts'
import type { DoctorContext, Probe } from './doctor/probe.ts'
import { availableCores, availableMemoryMiB, cacheDiskProbe, outDiskProbe } from './doctor/resources.ts'
import { examine, PROBES } from './doctor.ts'

let directory: string
let context: DoctorContext

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  context = {
    cache: new Cache(join(directory, 'cache')),
    outDirectory: join(directory, 'out'),
    toolchain: undefined,
    sources: async () => {
      throw new BootwrightError('PACKAGE_SOURCE', 'Cannot read the archive keyring', { hint: 'Install it.' })
    },
  }
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function place(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), content)
  }
}

describe('examine()', () => {
  it('goes on after a probe that failed, and keeps its reason and hint', async () => {
    const probes: Probe[] = [
      {
        id: 'a',
        title: 'A',
        run: async ({ sources }) => {
          await sources()
          return { status: 'ok', found: 'never' }
        },
      },
      {
        id: 'b',
        title: 'B',
        run: async () => {
          throw new Error('broken')
        },
      },
      { id: 'c', title: 'C', run: async () => ({ status: 'ok', found: 'fine' }) },
    ]
    const seen: string[] = []
    const findings = await examine(context, (finding) => seen.push(finding.id), probes)
    expect(findings).toEqual([
      { id: 'a', title: 'A', status: 'missing', found: 'Cannot read the archive keyring', hint: 'Install it.' },
      { id: 'b', title: 'B', status: 'missing', found: 'broken' },
      { id: 'c', title: 'C', status: 'ok', found: 'fine' },
    ])
    expect(seen).toEqual(['a', 'b', 'c'])
  })

  it('stops when it is aborted', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(examine({ ...context, signal })).rejects.toThrow('enough')
  })

  it('asks each question once', () => {
    const ids = PROBES.map((probe) => probe.id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('disk probes', () => {
  it.for([
    [cacheDiskProbe, 2_999, 'missing'],
    [cacheDiskProbe, 3_000, 'ok'],
    [outDiskProbe, 3_999, 'missing'],
    [outDiskProbe, 4_000, 'degraded'],
    [outDiskProbe, 8_000, 'ok'],
  ] as const)('%o with %i MiB is %s', async ([probe, free, status]) => {
    const outcome = await probe.run({ ...context, statFs: async () => ({ bavail: free, bsize: 1024 * 1024 }) })
    expect(outcome.status).toBe(status)
    expect(outcome.found).toContain(`${free} MiB`)
    expect(outcome.hint === undefined).toBe(status === 'ok')
  })
})

describe('availableMemoryMiB()', () => {
  const meminfo = { 'proc/meminfo': 'MemTotal: 9999999 kB\nMemAvailable:   4194304 kB\n' }

  it('is what the kernel calls available where no control group limits it', async () => {
    await place({ ...meminfo, 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.max': 'max\n' })
    expect(await availableMemoryMiB(directory)).toBe(4096)
  })

  it('is what the tightest control group above leaves, its file cache counted as free', async () => {
    await place({
      ...meminfo,
      'proc/self/cgroup': '0::/outer/inner\n',
      'sys/fs/cgroup/outer/memory.max': String(2048 * 1024 * 1024),
      'sys/fs/cgroup/outer/memory.current': String(1024 * 1024 * 1024),
      'sys/fs/cgroup/outer/memory.stat': `anon 1\ninactive_file ${512 * 1024 * 1024}\n`,
      'sys/fs/cgroup/outer/inner/memory.max': 'max',
      'sys/fs/cgroup/outer/inner/memory.current': '1',
    })
    expect(await availableMemoryMiB(directory)).toBe(1536)
  })
})

describe('availableCores()', () => {
  it('respects quotas of control groups, and is at least one', async () => {
    await place({ 'proc/self/cgroup': '0::/a\n', 'sys/fs/cgroup/a/cpu.max': '250000 100000\n' })
    expect(await availableCores(directory, 8)).toBe(2)
    expect(await availableCores(directory, 1)).toBe(1)
    await place({ 'sys/fs/cgroup/a/cpu.max': '50000 100000\n' })
    expect(await availableCores(directory, 8)).toBe(1)
    await place({ 'sys/fs/cgroup/a/cpu.max': 'max 100000\n' })
    expect(await availableCores(directory, 8)).toBe(8)
  })
})

describe('namespace probes', () => {
  it('agree with each other: a mount works where a namespace can be made', async () => {
    const namespace = await userNamespaceProbe.run(context)
    const mount = await mountProbe.run(context)
    if (namespace.status === 'ok') expect(mount.status).not.toBe('missing')
    else expect(namespace.hint).toContain('user namespaces')
  })
})
