import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, run } from '../system/index.ts'
import { type AptSource, parseListFile, parseSourcesFile } from './apt-sources.ts'

/** What the host's own apt is set to. */
export interface AptConfiguration {
  readonly sources: readonly AptSource[]
  /** The settings that decide how packages are fetched, in the order of apt-config(8), names spelt as there. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  /** Keyrings that count for sources which name none. */
  readonly trustedKeyrings: readonly string[]
  /** False where there is no apt on the host; the rest is then empty but for the proxies of the environment. */
  readonly hasApt: boolean
}

/**
 * Settings that are carried over: how to reach a mirror and how old an index may be. Nothing else is, because hooks and
 * paths of the host have no business in a private apt state.
 */
const CARRIED = [
  /^Acquire::(http|https|ftp)::(?!Proxy-Auto-Detect|ProxyAutoDetect)[\w:.\\/-]+$/i,
  /^Acquire::(Check-Valid-Until|Check-Date|Max-FutureTime|Retries|ForceIPv4|ForceIPv6|By-Hash|Queue-Mode)$/i,
]

const PROXY_VARIABLES = { http_proxy: 'Acquire::http::Proxy', https_proxy: 'Acquire::https::Proxy' } as const

/** Reads the host's apt configuration through apt-config, so that apt's own rules decide what holds. */
export async function readAptConfiguration(env: Readonly<Record<string, string>> = {}): Promise<AptConfiguration> {
  const proxies = proxiesOf({ ...process.env, ...env })
  const dump = await run({ argv: ['apt-config', 'dump'], env }).catch((error: unknown) => {
    if (error instanceof BootwrightError && error.code === 'TOOL_MISSING') return undefined
    throw error
  })
  if (dump === undefined) return { sources: [], settings: proxies, trustedKeyrings: [], hasApt: false }
  const shell = await run({
    argv: [
      ...['apt-config', 'shell'],
      ...['LIST', 'Dir::Etc::sourcelist/f'],
      ...['PARTS', 'Dir::Etc::sourceparts/d'],
      ...['TRUSTED', 'Dir::Etc::trusted/f'],
      ...['TRUSTED_PARTS', 'Dir::Etc::trustedparts/d'],
    ],
    env,
  })
  const paths = new Map<string, string>()
  for (const [, name, path] of shell.stdout.matchAll(/^(\w+)='(.*)'$/gm)) paths.set(name ?? '', path ?? '')
  const trusted = paths.get('TRUSTED') ?? ''
  return {
    sources: await readSources(paths.get('LIST') ?? '', paths.get('PARTS') ?? ''),
    settings: [...proxies, ...parseDump(dump.stdout)],
    trustedKeyrings: [
      ...((await readIfThere(trusted)) === undefined ? [] : [trusted]),
      ...(await filesBelow(paths.get('TRUSTED_PARTS') ?? '', /\.(gpg|asc|pgp)$/)),
    ],
    hasApt: true,
  }
}

/** The carried settings in the output of `apt-config dump`. */
export function parseDump(text: string): [string, string][] {
  const settings: [string, string][] = []
  for (const [, name, value] of text.matchAll(/^([^\s"]+) "(.*)";$/gm)) {
    if (name === undefined || value === undefined || value === '' || name.endsWith('::')) continue
    if (CARRIED.some((pattern) => pattern.test(name))) settings.push([name, value])
  }
  return settings
}

async function readSources(listFile: string, partsDirectory: string): Promise<AptSource[]> {
  const sources = parseListFile((await readIfThere(listFile)) ?? '')
  for (const file of await filesBelow(partsDirectory, /^[\w.-]+\.(list|sources)$/)) {
    const text = (await readIfThere(file)) ?? ''
    sources.push(...(file.endsWith('.list') ? parseListFile(text) : parseSourcesFile(text)))
  }
  return sources
}

/** apt takes proxies from the environment too; settings that follow override them, as in apt. */
function proxiesOf(env: Readonly<Record<string, string | undefined>>): [string, string][] {
  const settings: [string, string][] = []
  for (const [variable, name] of Object.entries(PROXY_VARIABLES)) {
    const value = env[variable]
    if (value !== undefined && value !== '') settings.push([name, value])
  }
  return settings
}

async function filesBelow(directory: string, pattern: RegExp): Promise<string[]> {
  try {
    const names = await readdir(directory)
    return names
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined
  }
}
