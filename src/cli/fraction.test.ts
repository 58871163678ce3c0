import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')
let directory: string
let fleet: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-fraction-'))
  fleet = join(directory, 'fleet')
  await writeFile(fleet, '0123456789abcdef0123456789abcdef\n\n7C3F1D2E-4B5A-6978-8796-A5B4C3D2E1F0\n')
})

afterAll(() => rm(directory, { recursive: true, force: true }))

const fraction = (...args: string[]) => runUnchecked({ argv: [process.execPath, PROGRAM, 'fraction', ...args] })

describe('bootwright fraction', () => {
  it('prints the machines that are selected', async () => {
    expect(await fraction('rollout-a 20%', fleet)).toMatchObject({
      exitCode: 0,
      stdout: '0123456789abcdef0123456789abcdef\n',
      stderr: '1 of 2 machines (50.00 %)\n',
    })
    const { stdout } = await fraction('rollout-a 21.67%', fleet, '--json')
    expect(JSON.parse(stdout)).toEqual({
      schema: 1,
      tag: 'rollout-a',
      permyriad: 2167,
      machines: 2,
      selected: ['0123456789abcdef0123456789abcdef', '7c3f1d2e4b5a69788796a5b4c3d2e1f0'],
    })
  })

  it('makes up a fleet, the same for the same seed, of which the fraction is what it says', async () => {
    const once = await fraction('--generate', '20000', 'a 25%')
    const count = once.stdout.trim().split('\n').length
    expect(count).toBeGreaterThan(4700)
    expect(count).toBeLessThan(5300)
    expect((await fraction('--generate', '20000', 'a 25%')).stdout).toBe(once.stdout)
    expect((await fraction('--generate', '20000', '--seed', '1', 'a 25%')).stdout).not.toBe(once.stdout)
    expect((await fraction('--generate', '20000', 'b 25%')).stdout).not.toBe(once.stdout)
  })

  it.for([
    ['a fraction that systemd cannot determine', ['150%', '--generate', '1'], 'Expected "[TAG ]PERCENT"'],
    ['two fleets', ['5%', 'file', '--generate', '1'], 'found both'],
    ['no file', ['5%', '/nonexistent/fleet'], '/nonexistent/fleet'],
  ] as const)('says what is wrong with %s', async ([, args, message]) => {
    const { exitCode, stderr } = await fraction(...args)
    expect(stderr).toContain(message)
    expect(exitCode).not.toBe(0)
  })

  it('names the line that is no machine ID', async () => {
    await writeFile(join(directory, 'bad'), '0123456789abcdef0123456789abcdef\nweb-1\n')
    const { exitCode, stdout, stderr } = await fraction('5%', join(directory, 'bad'))
    expect(stderr).toContain('in line 2 of')
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
  })
})
