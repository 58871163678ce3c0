import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../formats/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { makeSystem, snapshot, VERSIONS } from './change-system.test-support.ts'
import { sysupdateHere } from './here.test-support.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const SYSTEMS = 8
const STEPS = 10

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-change-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly lastError: string
}

async function original(argv: readonly string[]): Promise<Outcome> {
  const command = toolchain.command(['/usr/lib/systemd/systemd-sysupdate', ...argv])
  const { exitCode, stdout, stderr } = await runUnchecked(command)
  return { exitCode, stdout, lastError: stderr.trim().split('\n').at(-1) ?? '' }
}

type Step = { readonly argv: readonly string[] } | { readonly change: string; apply(root: string): void }

/** Commands, and what somebody else does in between. */
function stepsOf(seed: number): Step[] {
  const random = seededRandom(1000 + seed)
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const version = () => one(VERSIONS)
  const remove = (path: string): Step => ({
    change: `remove ${path}`,
    apply: (root) => rmSync(join(root, path), { force: true, recursive: true }),
  })
  const feature = (isOn: boolean): Step => ({
    change: `feature ${isOn}`,
    apply: (root) =>
      writeFileSync(join(root, 'usr/lib/sysupdate.d/opt.feature'), `[Feature]\nEnabled=${isOn ? 1 : 0}\n`),
  })
  const kinds: readonly (() => Step)[] = [
    () => ({ argv: ['update'] }),
    () => ({ argv: ['update', version()] }),
    () => ({ argv: ['update', version()] }),
    () => ({ argv: ['--json=short', 'update', version()] }),
    () => ({ argv: ['acquire'] }),
    () => ({ argv: ['acquire', version()] }),
    () => ({ argv: ['update', '--offline'] }),
    () => ({ argv: ['update', '--offline', version()] }),
    () => ({ argv: ['acquire', '--offline', version()] }),
    () => ({ argv: ['vacuum'] }),
    () => ({ argv: ['vacuum', '-m', one(['1', '2', '3'])] }),
    () => ({ argv: ['--json=short', 'vacuum', '-m', one(['1', '2'])] }),
    () => ({ argv: ['update', '-m', one(['2', '4'])] }),
    () => ({ argv: ['--sync=no', 'update', version()] }),
    () => remove(`dst/a_${version()}+3-0.raw`),
    () => remove(`dst/url/u_${version()}.raw`),
    () => remove(`dirs/d_${version()}`),
    () => feature(random() < 0.5),
    () => ({ argv: ['cleanup'] }),
    () => ({ argv: ['-A', 'cleanup'] }),
    () => ({ argv: ['update', '--cleanup=yes'] }),
    () => ({ argv: [one(['enable-feature', 'disable-feature']), one(['opt', 'none', 'opt']), 'other'] }),
    () => ({ argv: [one(['enable-feature', 'disable-feature']), one(['-a', '-s', '-Aa'])] }),
    () => ({ argv: [one(['enable-component', 'disable-component']), one(['part', 'absent'])] }),
    () => ({ argv: [one(['enable-component', 'disable-component']), one(['-A', '-S'])] }),
    () => ({ argv: ['-A', 'update'] }),
    () => ({ argv: ['-C', 'part', 'update'] }),
    () => remove(`usr/lib/sysupdate.d/${one(['20-url', '30-feature'])}.transfer`),
  ]
  return Array.from({ length: STEPS }, () => one(kinds)())
}

/** Where only the original's helper programs say what is wrong, ours has words of its own. */
const OF_HELPERS = /failed with exit status|terminated by signal/

describe.skipIf(toolchain === undefined)('systemd-sysupdate that changes (needs the tools: ./bootwright setup)', () => {
  it('does to the same systems what the original does', async () => {
    let [commands, changes] = [0, 0]
    for (let seed = 1; seed <= SYSTEMS; seed++) {
      const [theirRoot, ourRoot] = [join(directory, `theirs-${seed}`), join(directory, `ours-${seed}`)]
      await makeSystem(theirRoot, { seed, served: join(directory, `served-${seed}`) }, toolchain)
      await run({ argv: ['cp', '-a', theirRoot, ourRoot] })
      const history: string[] = []
      for (const step of stepsOf(seed)) {
        if ('change' in step) {
          history.push(step.change)
          for (const root of [theirRoot, ourRoot]) step.apply(root)
          continue
        }
        const before = snapshot(theirRoot)
        history.push(step.argv.join(' '))
        const label = `seed ${seed}: ${history.join('; ')}`
        const theirs = await original([`--root=${theirRoot}`, ...step.argv])
        // What makes it abort, ours does; the states differ from then on.
        if (theirs.exitCode > 1) break
        const ours = await sysupdateHere([`--root=${ourRoot}`, '--bug-compat=262', ...step.argv])
        commands++
        if (JSON.stringify(snapshot(theirRoot)) !== JSON.stringify(before)) changes++
        const isOfHelper = theirs.exitCode !== 0 && OF_HELPERS.test(theirs.lastError)
        const shown = ({ exitCode, stdout, lastError }: Outcome, root: string) => ({
          exitCode,
          stdout,
          lastError: exitCode === 0 || isOfHelper ? '' : lastError.replaceAll(root, ''),
        })
        expect(
          { ...shown(ours, ourRoot), ...snapshot(ourRoot) },
          `${label}\nbefore: ${JSON.stringify(before)}`,
        ).toEqual({
          ...shown(theirs, theirRoot),
          ...snapshot(theirRoot),
        })
      }
    }
    expect(commands).toBeGreaterThan(30)
    // Else nothing was tried but refusals.
    expect(changes).toBeGreaterThan(15)
  }, 240_000)
})
