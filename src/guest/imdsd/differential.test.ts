import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ScriptedEndpoint, scriptedEndpoint } from '../../imds/index.ts'
import { attribute } from '../../system/index.ts'
import { readyToolchain } from '../../toolchain/index.ts'
import { isInCloud, OriginalImds } from '../original-imds.test-support.ts'
import { type DifferentialCase, differentialCases } from './differential-cases.test-support.ts'
import { imdsd } from './imdsd.ts'

const toolchain = await readyToolchain().catch(() => undefined)
/** Marks of packets and low ports are root's. */
const canCompare = toolchain !== undefined && OriginalImds.isFetched() && process.getuid?.() === 0 && !isInCloud()
let original: OriginalImds
let directory: string
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-imdsd-'))
  if (canCompare) original = await OriginalImds.unpack(toolchain)
})
afterAll(async () => {
  await original?.[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** Where ours does otherwise on purpose, which docs/imds.md tells. */
const DIFFERENT: ReadonlySet<string> = new Set([
  'header ":b"',
  'header "a b: c"',
  'header name "A;"',
  'address http://user:password@{host}',
  '4 MiB and one byte',
  'an address that is none',
  'drops a token that is refused',
])

interface Outcome {
  readonly exitCodes: readonly number[]
  readonly stdout: string
  readonly wire: readonly string[]
  readonly files: readonly string[]
}

type Run = (
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
) => Promise<{ exitCode: number; stdout: string }>

const runOriginal: Run = async (argv, env) => {
  const { exitCode, stdout } = await original.run('systemd-imdsd', argv, { env })
  return { exitCode, stdout }
}

const runOurs: Run = async (argv, environment) => {
  const chunks: Buffer[] = []
  const output = {
    isTerminal: false,
    out: (text: string | Uint8Array) => void chunks.push(Buffer.from(text)),
    error: () => undefined,
  }
  const exitCode = await imdsd(['--bug-compat=262', ...argv], output, { version: '', environment })
  return { exitCode, stdout: Buffer.concat(chunks).toString() }
}

async function outcomeOf(run: Run, one: DifferentialCase, place: string): Promise<Outcome> {
  const endpoint = await scriptedEndpoint([...(one.answers ?? [])])
  try {
    const at = (text: string): string =>
      text.replaceAll('{host}', new URL(endpoint.url).host).replaceAll('§', endpoint.url)
    const [cache, credentials] = [join(place, 'cache'), join(place, 'credentials')]
    mkdirSync(cache, { recursive: true })
    mkdirSync(credentials)
    for (const [name, value] of Object.entries(one.credentials ?? {})) writeFileSync(join(credentials, name), at(value))
    const env = {
      SYSTEMD_PROC_CMDLINE: '',
      ...(one.isCached === true && { RUNTIME_DIRECTORY: cache }),
      ...(one.credentials !== undefined && { CREDENTIALS_DIRECTORY: credentials }),
      ...Object.fromEntries(Object.entries(one.env ?? {}).map(([name, value]) => [name, at(value)])),
    }
    const exitCodes: number[] = []
    let stdout = ''
    for (const argv of [...(one.before ?? []), one.argv]) {
      const hasInterface = argv.includes('-i')
      const result = await run([...(hasInterface ? [] : ['-i', 'lo']), ...argv.map(at)], env)
      exitCodes.push(result.exitCode)
      stdout += result.stdout
    }
    return { exitCodes, stdout, wire: wireOf(endpoint), files: filesOf(cache) }
  } finally {
    await endpoint[Symbol.asyncDispose]()
  }
}

function wireOf({ requests, url }: ScriptedEndpoint): string[] {
  const port = new URL(url).port
  return requests.map(({ line, headers, isPortLow }) =>
    [isPortLow ? 'low' : 'high', line, ...headers].join(' | ').replaceAll(port, 'PORT'),
  )
}

/** Names, modes, what is in them, and their attributes but for times. */
function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const mode = (statSync(path).mode & 0o7777).toString(8)
      if (entry.isDirectory()) return `${path.slice(root.length)} ${mode}`
      const fd = openSync(path, 'r')
      const stamp = attribute(fd, 'user.imds.timestamp', 64)?.length ?? 'none'
      const result = attribute(fd, 'user.imds.result', 64)?.toString() ?? 'none'
      closeSync(fd)
      const content = readFileSync(path, 'utf8').replace(/"validUntilUSec":\d+/, '"validUntilUSec":N')
      return `${path.slice(root.length)} ${mode} ${stamp} ${result} ${content}`
    })
    .sort()
}

const cases = differentialCases()

describe.runIf(canCompare)(
  "systemd-imdsd beside systemd's own (needs root, the tools, and an image with systemd-imds)",
  () => {
    it('is tried on more than 200 command lines, each of its own', () => {
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
      expect(cases.length).toBeGreaterThan(200)
    })

    it.concurrent.for(cases.map((one, index) => [one.name, one, index] as const))('%s', async ([name, one, index]) => {
      const place = (who: string): string => {
        const path = join(directory, `${index}-${who}`)
        mkdirSync(path)
        chmodSync(path, 0o755)
        return path
      }
      const [theirs, ours] = await Promise.all([
        outcomeOf(runOriginal, one, place('original')),
        outcomeOf(runOurs, one, place('ours')),
      ])
      if (DIFFERENT.has(name)) expect(ours).not.toEqual(theirs)
      else expect(ours).toEqual(theirs)
    })
  },
)
