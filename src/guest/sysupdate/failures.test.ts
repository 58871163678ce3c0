import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { parseGpt } from '../../formats/index.ts'
import { parseServeFault } from '../../release/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { unfinishedType } from '../../sysupdate/index.ts'
import { sysupdateHere } from './here.test-support.ts'
import { define, MIB, release, root, server, sign, toolchain, USR, write } from './update-root.test-support.ts'

/** What somebody who looks at a system sees: exit status of `update`, what is there, what `list` and `check-new` say of it. */
interface Look {
  readonly update: number
  readonly there: readonly string[]
  readonly list: unknown
  readonly checkNew: unknown
}

type Program = (root: string, argv: readonly string[]) => Promise<{ exitCode: number; stdout: string }>

const original: Program = (at, argv) =>
  runUnchecked(toolchain.command(['/usr/lib/systemd/systemd-sysupdate', `--root=${at}`, ...argv]))
const ours: Program = (at, argv) => sysupdateHere([`--root=${at}`, ...argv])
const compatible: Program = (at, argv) => sysupdateHere([`--root=${at}`, '--bug-compat=262', ...argv])

async function look(program: Program, at: string): Promise<Look> {
  const { exitCode: update } = await program(at, ['update'])
  const list = await program(at, ['--json=short', 'list'])
  const check = await program(at, ['--json=short', 'check-new'])
  return { update, there: thereIn(at), list: parsed(list), checkNew: parsed(check) }
}

function parsed({ exitCode, stdout }: { exitCode: number; stdout: string }): unknown {
  // Where it is aborted, there is nothing to read.
  if (stdout === '') return exitCode
  const { appstreamUrls: _, ...rest } = JSON.parse(stdout) as { appstreamUrls?: unknown }
  return rest
}

const STATES: Readonly<Record<string, string>> = {
  [USR]: '',
  [unfinishedType(USR, 'partial')]: ' (partial)',
  [unfinishedType(USR, 'pending')]: ' (pending)',
}

function thereIn(at: string): string[] {
  const { partitions } = parseGpt(readFileSync(join(at, 'disk.img')))
  const slots = partitions.map(({ name, typeGuid }) => `${name}${STATES[typeGuid] ?? ' (?)'}`)
  return [...slots, ...readdirSync(join(at, 'dst')).sort()]
}

/** A system each, the same mishap, then the same remedy. */
async function live(mishap: () => Disposable | undefined, remedy: () => void) {
  const programs = { original, compatible, ours }
  const at = (name: string): string => (name === 'ours' ? root : `${root}-${name}`)
  const fault = mishap()
  for (const name of ['original', 'compatible']) await run({ argv: ['cp', '-a', root, at(name)] })
  const seen: Record<string, { wrong: Look; well: Look }> = {}
  const wrong: Record<string, Look> = {}
  for (const [name, program] of Object.entries(programs)) wrong[name] = await look(program, at(name))
  fault?.[Symbol.dispose]()
  remedy()
  for (const [name, program] of Object.entries(programs)) {
    if (name !== 'ours') await run({ argv: ['cp', '-a', `${root}/usr`, `${root}/src`, `${at(name)}/`] })
    seen[name] = { wrong: wrong[name] as Look, well: await look(program, at(name)) }
  }
  return seen as { original: (typeof seen)[string]; compatible: (typeof seen)[string]; ours: (typeof seen)[string] }
}

afterEach(() => {
  if (toolchain !== undefined)
    for (const name of ['original', 'compatible']) rmSync(`${root}-${name}`, { recursive: true })
})

const failing = (rule: string) => (): Disposable => server.fail(parseServeFault(rule))
const url = (head: string[], patterns: string): void =>
  define('20-url', head, `Type=url-file\nPath=${server.url}\nMatchPattern=${patterns}`, [
    ...['Type=regular-file', 'Path=/dst', 'MatchPattern=u_@v.raw'],
  ])
const nothing = (): undefined => undefined

/** What happens, what ends it, and whether the original needs more than that to go on. */
const CASES: readonly (readonly [string, () => Disposable | undefined, () => void, 'stuck' | 'goes on'])[] = [
  ['a partition that breaks off', failing('/p_2.raw truncate 1000'), nothing, 'stuck'],
  [
    'a file that breaks off',
    () => {
      // More than is tried again, from where it broke.
      write('url/u_2.raw', randomBytes(100_000))
      sign()
      return failing('/u_2.raw truncate 40000')()
    },
    nothing,
    'stuck',
  ],
  ['another hash', failing('/u_2.raw corrupt 3'), nothing, 'stuck'],
  ['a payload that is not there', failing('/p_2.raw status 404'), nothing, 'stuck'],
  [
    'no signature',
    () => {
      write('etc/systemd/import-pubring.pgp', '')
      url([], 'u_@v.raw')
      return undefined
    },
    () => url(['Verify=no'], 'u_@v.raw'),
    'goes on',
  ],
  [
    'a manifest that was best before',
    () => {
      write('url/BEST-BEFORE-2020-01-01', '')
      sign()
      return undefined
    },
    () => {
      rmSync(join(root, 'url/BEST-BEFORE-2020-01-01'))
      sign()
    },
    'goes on',
  ],
  [
    'a line of the manifest that is none',
    () => {
      sign((lines) => [...lines, 'nonsense'])
      return undefined
    },
    () => sign(),
    'goes on',
  ],
  [
    'a slot that is too small',
    () => {
      release('2', randomBytes(3 * MIB))
      return undefined
    },
    () => release('2'),
    'stuck',
  ],
  [
    'two files of one version',
    () => {
      write('url/u_2.img', 'u2')
      sign()
      url(['Verify=no'], 'u_@v.img u_@v.raw')
      return undefined
    },
    nothing,
    'goes on',
  ],
  [
    'a pattern that fits nothing',
    () => {
      url(['Verify=no'], 'none_@v.raw')
      return undefined
    },
    () => url(['Verify=no'], 'u_@v.raw'),
    'goes on',
  ],
]

describe.skipIf(toolchain === undefined)('after a failure (needs the tools: ./bootwright setup)', () => {
  it.for(CASES)('%s', { timeout: 60_000 }, async ([name, mishap, remedy, theirs]) => {
    const seen = await live(mishap, remedy)
    expect(seen.compatible).toEqual(seen.original)
    expect(seen.original.well.update).toBe(theirs === 'stuck' ? 1 : 0)
    const { wrong, well } = seen.ours
    const isNone = name === 'two files of one version' || name === 'a pattern that fits nothing'
    expect(wrong.update).toBe(isNone ? 0 : 1)
    // What runs is untouched, and nothing is half there.
    expect(wrong.there).toEqual(expect.arrayContaining(['p_1', 'a_1', 'u_1.raw']))
    expect(wrong.there.filter((one) => one.includes('partial'))).toEqual([])
    expect(well.update).toBe(0)
    expect(well.there.filter((one) => /_[2]|partial|pending/.test(one))).toEqual(['p_2', 'a_2', 'u_2.raw'])
    expect([well.list, well.checkNew]).toEqual([{ current: '2', all: ['2', '1'] }, { available: null }])
  })
})
