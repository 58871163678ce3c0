import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, type ErrorCode, runUnchecked } from '../system/index.ts'
import type { PackageSources } from './package-sources.ts'
import { aptSettings, sandboxFiles, writeFiles } from './sandbox-tree.ts'

/** An apt with a state, cache and configuration of its own below one directory. Needs no root, sees nothing of the host's. */
export interface IsolatedApt {
  /** Fetches the index and checks its signature; rejects with `PACKAGE_SOURCE`. */
  update(options?: { signal?: AbortSignal | undefined }): Promise<void>
  /** Fetches one package, checked against the index, into `directory`. */
  download(name: string, directory: string, options?: { signal?: AbortSignal | undefined }): Promise<void>
}

export async function isolatedApt(directory: string, sources: PackageSources): Promise<IsolatedApt> {
  const root = join(directory, 'apt')
  await writeFiles(root, sandboxFiles(sources, root))
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'log']) {
    await mkdir(join(root, part), { recursive: true })
  }
  const status = join(root, 'state/status')
  await writeFile(status, '')
  const configuration = join(root, 'apt.conf')
  await writeFile(
    configuration,
    aptSettings([
      // APT_CONFIG is read first, so that with this the host's own configuration and its hooks are never looked at.
      ['Dir', root],
      ['Dir::Etc', 'etc/apt'],
      ['Dir::State', 'state'],
      ['Dir::State::status', status],
      ['Dir::Cache', 'cache'],
      ['Dir::Log', 'log'],
      // The cache of a user is no place that apt's own unprivileged user could write to.
      ['APT::Sandbox::User', 'root'],
      ['Acquire::AllowInsecureRepositories', 'false'],
      ['Acquire::AllowWeakRepositories', 'false'],
      ['Acquire::AllowDowngradeToInsecureRepositories', 'false'],
      ['APT::Get::AllowUnauthenticated', 'false'],
      // A mirror that cannot be reached is a failure, not a warning.
      ['APT::Update::Error-Mode', 'any'],
      ['Acquire::IndexTargets::deb::DEP-11::DefaultEnabled', 'false'],
      ['Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled', 'false'],
    ]),
  )
  const apt = async (argv: readonly string[], what: string, cwd: string, signal?: AbortSignal): Promise<void> => {
    const env = { APT_CONFIG: configuration, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' }
    const result = await runUnchecked({ argv: ['apt-get', '--quiet', ...argv], cwd, env }, { signal })
    if (result.exitCode !== 0)
      throw packageSourceError(what, `${result.stdout}\n${result.stderr}`, { snapshot: sources.snapshot })
  }
  return {
    update: (options = {}) => apt(['update'], `the index of ${sources.release}`, root, options.signal),
    download: (name, into, options = {}) => apt(['download', name], `the package ${name}`, into, options.signal),
  }
}

const NOT_THERE = 'the mirror does not have it'

/** What apt's messages mean, most telling first. */
const EXPLANATIONS: readonly (readonly [pattern: RegExp, meaning: string, hint: string, code?: ErrorCode])[] = [
  [
    /No space left on device/,
    'no space is left',
    'Free some space, or set BOOTWRIGHT_CACHE to a larger disk.',
    'NO_SPACE',
  ],
  [
    /is not valid yet|is expired|Release file .* expired/i,
    'its date is out of range',
    "Check this host's clock; for an old mirror set Acquire::Check-Valid-Until in its apt configuration, or use --snapshot.",
  ],
  [
    /NO_PUBKEY|not signed|couldn't be verified|EXPKEYSIG|BADSIG|NOSPLIT|Clearsigned|Missing key|OpenPGP signature/i,
    'its signature does not hold',
    'Install a current debian-archive-keyring, or use another mirror: --mirror URL.',
  ],
  [
    /unexpected size|Hash Sum mismatch|Mirror sync in progress|Unable to parse package file/i,
    'what the mirror sent is not what it signed (truncated or altered)',
    'Try again later, or use another mirror: --mirror URL.',
  ],
  [
    /Could not resolve|Temporary failure resolving|Could not connect|Cannot initiate the connection|Connection (failed|refused|timed out)|Unable to connect|Network is unreachable/i,
    'the mirror cannot be reached',
    'Check the network and the proxy of the apt configuration, or use another mirror: --mirror URL.',
  ],
  [
    /40[04] +(Not Found|Bad Request)|does not have a Release file|File not found|Unable to locate package|No candidate|Can't (select|find)/i,
    NOT_THERE,
    'Give a mirror of the whole Debian archive: --mirror URL.',
  ],
  [
    /(Failed to fetch|Err:).* [45]\d\d +[A-Z]/,
    'the mirror refuses',
    'Check the address, its password and the proxy of the apt configuration, or use another mirror: --mirror URL.',
  ],
]

export interface FetchContext {
  /** What the archive was pinned to. */
  readonly snapshot?: string | undefined
  /** apt ran in mkosi's sandbox, which has no directories of the host. */
  readonly isSandboxed?: boolean
}

/** Turns the output of a failed apt into an error; `what` is what was to be fetched. */
export function packageSourceError(what: string, output: string, context: FetchContext = {}): BootwrightError {
  const lines = output.split('\n').filter((line) => /^\s*(E|W|Err)[: ]|^\s+\S/.test(line))
  const first = lines.find((line) => /^\s*E:/.test(line)) ?? lines[0] ?? output.trim().split('\n').at(-1) ?? ''
  // The first failure explains those that follow: an index that could not be fetched is then said to be unsigned.
  const explained = [first, output].map((text) => EXPLANATIONS.find(([pattern]) => pattern.test(text)))
  const [, meaning, general, code] = explained.find((found) => found !== undefined) ?? [
    undefined,
    'apt failed',
    'Check the network, or use another mirror: --mirror URL.',
  ]
  let hint = general
  if (meaning === NOT_THERE && context.snapshot !== undefined) {
    hint = `This mirror keeps no archive of ${context.snapshot}; give a snapshot service that does: --mirror URL.`
  }
  if (meaning === NOT_THERE && context.isSandboxed === true && /'(?:file|copy):/.test(first)) {
    hint = "mkosi's sandbox does not see directories of this host: serve the mirror over HTTP and give that address."
  }
  return new BootwrightError(code ?? 'PACKAGE_SOURCE', `Cannot fetch ${what}: ${meaning} (${first.trim()})`, { hint })
}

/** Whether the output of a program that runs apt tells of a failure to fetch. */
export function isFetchFailure(output: string): boolean {
  return EXPLANATIONS.some(([pattern]) => pattern.test(output))
}
