import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareVersions, seededRandom } from '../formats/index.ts'
import { runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { hostSpecifiers, systemArchitecture } from './host-specifiers.ts'
import { directoryInstances } from './instances.ts'
import { planUpdate, type UpdateSet } from './plan.ts'
import { readDefinitions } from './read-definitions.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const VERSIONS = ['1', '2', '3', '3~rc1', '4.1', '4.10', 'a', '5-1']
const CASES = 40
const PAIRS = 400

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-sysupdate-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Runs commands in one shell with the tools, and gives standard output and exit status of each. */
async function originals(commands: readonly string[]): Promise<{ stdout: string; exitCode: number }[]> {
  const script = commands.map((command) => `${command} 2>/dev/null; printf '\\0%d\\0' $?`).join('\n')
  const { stdout } = await runUnchecked(toolchain.command(['sh', '-c', script]))
  const parts = stdout.split('\0')
  return commands.map((_, index) => ({ stdout: parts[2 * index] ?? '', exitCode: Number(parts[2 * index + 1]) }))
}

/** Two or three transfers of files and directories, with some of the versions on each side, in some trees unfinished ones. */
function makeTree(seed: number): { definitions: string; offline: boolean } {
  const random = seededRandom(seed)
  const chance = (share: number): boolean => random() < share
  const root = join(directory, String(seed))
  const definitions = join(root, 'definitions')
  const hasUnfinished = chance(0.4)
  mkdirSync(definitions, { recursive: true })
  for (let index = 0; index < (chance(0.5) ? 2 : 3); index++) {
    const isDirectory = chance(0.3)
    const [type, source, target] = [isDirectory ? 'directory' : 'regular-file', `source${index}`, `target${index}`]
    const make = (side: string, name: string): void => {
      mkdirSync(join(root, side), { recursive: true })
      if (isDirectory) mkdirSync(join(root, side, name))
      else writeFileSync(join(root, side, name), 'x')
    }
    for (const version of VERSIONS) {
      if (chance(0.6)) make(source, `s_${version}.raw`)
      const state = hasUnfinished && chance(0.3) ? `.sysupdate.${chance(0.5) ? 'pending' : 'partial'}.` : ''
      const name = chance(0.5) && !isDirectory ? `t_${version}+3-0.raw` : `t_${version}.raw`
      if (chance(0.35)) make(target, `${state}${name}`)
    }
    const text = [
      '[Transfer]',
      ...(chance(0.3) ? [`MinVersion=${VERSIONS[Math.floor(random() * VERSIONS.length)]}`] : []),
      ...(chance(0.4) ? [`ProtectVersion=${VERSIONS[Math.floor(random() * VERSIONS.length)]}`] : []),
      '[Source]',
      ...[`Type=${type}`, `Path=${join(root, source)}`, 'MatchPattern=s_@v.raw'],
      '[Target]',
      ...[`Type=${type}`, `Path=${join(root, target)}`, 'MatchPattern=t_@v+@l-@d.raw t_@v.raw'],
    ]
    writeFileSync(join(definitions, `${index}.transfer`), text.join('\n'))
  }
  return { definitions, offline: chance(0.2) }
}

function planned(definitions: string, offline: boolean) {
  const context = { specifiers: hostSpecifiers('/'), architecture: systemArchitecture(), transferSource: undefined }
  const read = readDefinitions({ root: '/', directory: definitions, component: undefined }, context)
  const transfers = read.transfers.map((transfer) => ({
    ...transfer,
    installed: directoryInstances(transfer.target, transfer.target.path),
    available: offline ? [] : directoryInstances(transfer.source, transfer.source.path),
  }))
  return planUpdate(transfers, 'original')
}

/** The original names the newest installed version otherwise when it is not activated. */
function currentKey(newest: UpdateSet | undefined): string {
  return newest?.isPending === true ? 'current+pending' : 'current'
}

/** `list VERSION` as JSON, in part. */
function flags(set: UpdateSet) {
  return {
    version: set.version,
    newest: set.isNewest,
    available: set.isAvailable,
    installed: set.isInstalled,
    partial: set.isPartial,
    pending: set.isPending,
    obsolete: set.isObsolete,
    protected: set.isProtected,
    incomplete: set.isIncomplete,
    paths: set.instances.flatMap((instance) => instance?.path ?? []),
  }
}

describe.skipIf(toolchain === undefined)('the original (needs the tools: ./bootwright setup)', () => {
  it('plans the same from the same definitions, directories and files', async () => {
    for (let seed = 1; seed <= CASES; seed++) {
      const { definitions, offline } = makeTree(seed)
      const plan = planned(definitions, offline)
      const command = `/usr/lib/systemd/systemd-sysupdate --definitions=${definitions}${offline ? ' --offline' : ''} --json=short`
      const [list, check, ...each] = await originals([
        `${command} list`,
        `${command} check-new`,
        ...plan.sets.map(({ version }) => `${command} list ${version}`),
      ])
      const ours = {
        list: {
          [currentKey(plan.newestInstalled)]: plan.newestInstalled?.version ?? null,
          all: plan.sets.map(({ version }) => version),
          appstreamUrls: [],
        },
        check: { available: plan.candidate?.version ?? null },
        exitCode: plan.candidate === undefined ? 1 : 0,
        sets: plan.sets.map(flags),
      }
      const theirs = {
        list: JSON.parse(list?.stdout ?? ''),
        check: JSON.parse(check?.stdout ?? ''),
        exitCode: check?.exitCode,
        sets: each.map(({ stdout }) => {
          const { contents, changelogUrls: _, ...rest } = JSON.parse(stdout)
          return { ...rest, paths: contents.map(({ path }: { path: string }) => path) }
        }),
      }
      expect(ours, `seed ${seed}`).toEqual(theirs)
    }
  }, 120_000)

  it('orders the same versions the same', async () => {
    const random = seededRandom(10)
    const characters = '0019aZ.~^-+_'
    const word = () =>
      Array.from(
        { length: 1 + Math.floor(random() * 6) },
        () => characters[Math.floor(random() * characters.length)],
      ).join('')
    const pairs = Array.from({ length: PAIRS }, () => [`x${word()}`, `x${word()}`] as const)
    const answers = await originals(pairs.map(([a, b]) => `systemd-analyze compare-versions '${a}' '${b}'`))
    const status = new Map([
      [-1, 12],
      [0, 0],
      [1, 11],
    ])
    expect(pairs.map(([a, b]) => [a, b, status.get(compareVersions(a, b))])).toEqual(
      pairs.map(([a, b], index) => [a, b, answers[index]?.exitCode]),
    )
  }, 120_000)
})
