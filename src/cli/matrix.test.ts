import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')
let project: string

beforeEach(async () => {
  project = await mkdtemp(join(tmpdir(), 'bootwright-matrix-'))
  await writeFile(join(project, 'bootwright.json'), '{}')
})

afterEach(() => rm(project, { recursive: true, force: true }))

const matrix = (...args: string[]) =>
  runUnchecked({ argv: [process.execPath, PROGRAM, 'matrix', ...args], env: { BOOTWRIGHT_PROJECT: project } })

async function run(id: string, command: string, status: string): Promise<void> {
  await mkdir(join(project, 'out/runs', id), { recursive: true })
  const checks = [{ id: 'feature-reload-count', title: 'x', status, evidence: [], durationMs: 1 }]
  const facts = { id, startedAt: id, image: { name: 'mine', version: '1', identity: 'a' }, command }
  await writeFile(join(project, 'out/runs', id, 'report.json'), JSON.stringify({ schema: 1, run: facts, checks }))
}

it('bootwright matrix shows what verify has found, and nothing that a test has broken', async () => {
  await run('1', './bootwright verify mine --features', 'passed')
  await run('2', 'vitest', 'failed')
  await mkdir(join(project, 'out/runs/3'))
  await mkdir(join(project, 'out/runs/4'))
  await writeFile(join(project, 'out/runs/4/report.json'), '{"schema":1')
  const { exitCode, stdout } = await matrix()
  expect(stdout).toMatch(/^The manager counts its reloads +✓\*$/m)
  expect(stdout).not.toContain('✗ mine')
  expect(exitCode).toBe(0)
  const json = JSON.parse((await matrix('--json')).stdout)
  expect(json).toMatchObject({ schema: 1, images: ['mine'] })
  const row = json.rows.find(({ id }: { id: string }) => id === 'feature-reload-count')
  expect(row).toMatchObject({ cells: { mine: { run: '1', isStale: true } } })
  expect((await matrix('--markdown')).stdout).toContain('| The manager counts its reloads | ✓\\* |')
})

it('bootwright matrix prints one thing at a time', async () => {
  expect(await matrix('--json', '--markdown')).toMatchObject({ exitCode: 2 })
})
