import { readFile } from 'node:fs/promises'
import { BootwrightError } from '../system/index.ts'
import { type AptConfiguration, readAptConfiguration } from './apt-configuration.ts'
import type { AptSource } from './apt-sources.ts'
import { debianArchiveKeyring, noKeyring, readKeyring } from './keyring.ts'

/** The Debian release that the managed tools come from. */
export const TOOLS_RELEASE = 'forky'

export interface PackageSourceOptions {
  /** Base address of a mirror of Debian's archive, the directory that holds `dists/`. */
  readonly mirror?: string | undefined
  /** Pins the archive to `YYYYMMDDTHHMMSSZ`, see `snapshotOf()`. */
  readonly snapshot?: string | undefined
  /** The root of a tools tree that may have the archive's keyring where the host has none. */
  readonly toolsRoot?: string | undefined
  /** Added to the environment of apt-config; tests point `APT_CONFIG` at a configuration of their own. */
  readonly env?: Readonly<Record<string, string>>
}

/** Everything needed to fetch and verify Debian packages without the host's apt state. */
export interface PackageSources {
  readonly uri: string
  readonly release: string
  readonly components: readonly string[]
  readonly keyrings: readonly { readonly path: string; readonly bytes: Uint8Array }[]
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly snapshot: string | undefined
}

/** Finds Debian's archive: `mirror` if given, else the one that the host's own apt uses. */
export async function findPackageSources(options: PackageSourceOptions = {}): Promise<PackageSources> {
  if (options.snapshot !== undefined) requireTimestamp(options.snapshot)
  if (options.mirror !== undefined) requireMirror(options.mirror)
  const host = await readAptConfiguration(options.env)
  const source = options.mirror === undefined ? debianArchive(host.sources) : undefined
  const mirror = options.mirror ?? (source === undefined ? undefined : await firstUri(source))
  if (mirror === undefined) {
    throw noMirror(host.hasApt ? "This host's apt configuration names" : 'This host has no apt, so it names')
  }
  const base = mirror.replace(/\/+$/, '')
  return {
    uri: options.snapshot === undefined ? base : snapshotOf(base, options.snapshot),
    release: TOOLS_RELEASE,
    components: ['main'],
    keyrings: await keyringsFor(source, host, options.toolsRoot),
    settings: [...host.settings, ...staleIsAllowed(source, options.snapshot)],
    snapshot: options.snapshot,
  }
}

/**
 * Where a mirror keeps the archive as it was at a time: a mirror `BASE/debian` has it at
 * `BASE/archive/debian/TIMESTAMP`, the layout of Debian's snapshot service. An address that has that layout already
 * gets its timestamp replaced.
 */
export function snapshotOf(mirror: string, timestamp: string): string {
  const pinned = /^(.*\/archive\/debian)\/\d{8}T\d{6}Z$/.exec(mirror)
  if (pinned !== null) return `${pinned[1]}/${timestamp}`
  if (mirror.endsWith('/archive/debian')) return `${mirror}/${timestamp}`
  return `${mirror.replace(/\/debian$/, '')}/archive/debian/${timestamp}`
}

/**
 * The source that is Debian's own archive, or undefined. Third parties use Debian's release names too, so the keyring
 * decides first and the address second; whatever is chosen, its signature is checked before anything is used.
 */
export function debianArchive(sources: readonly AptSource[]): AptSource | undefined {
  const candidates = sources.filter(
    (source) =>
      source.components.includes('main') &&
      source.suites.some((suite) => /^[a-z]+$/.test(suite)) &&
      source.uris.some((uri) => /^(https?|ftp|file|copy|mirror\+file|mirror\+https?|mirror):/.test(uri)),
  )
  const score = (source: AptSource): number =>
    (source.keyrings.some((path) => /debian-archive/.test(path)) ? 4 : 0) +
    (source.uris.some((uri) => /\/debian\/*$/.test(uri)) ? 2 : 0) +
    (source.uris.some((uri) => /^mirror\+file:.*\/debian\.list$/.test(uri)) ? 2 : 0) +
    (source.uris.some((uri) => /\/archive\/debian\/\d{8}T\d{6}Z\/*$/.test(uri)) ? 2 : 0)
  return candidates
    .filter((source) => score(source) > 0)
    .sort((a, b) => score(b) - score(a))
    .at(0)
}

async function firstUri(source: AptSource): Promise<string | undefined> {
  const uri = source.uris[0]
  // A list of mirrors on the host is not there in mkosi's sandbox: its first line stands for it.
  const list = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri ?? '')?.[1]
  if (list === undefined) return uri
  try {
    const text = await readFile(list, 'utf8')
    return text
      .split('\n')
      .map((line) => line.trim().split(/\s+/)[0] ?? '')
      .find((word) => /^\w+:\//.test(word))
  } catch (cause) {
    throw new BootwrightError('PACKAGE_SOURCE', `Cannot read the list of mirrors ${list}`, {
      cause,
      hint: 'Correct the package sources, or give a mirror with --mirror.',
    })
  }
}

/** The images are Debian's whatever the host is, so without a mirror there is nothing that could be done. */
export function noMirror(subject: string): BootwrightError {
  return new BootwrightError('PACKAGE_SOURCE', `${subject} no mirror of Debian's archive, which images are made from`, {
    hint: 'Give one: --mirror URL, the directory of the mirror that holds "dists".',
  })
}

async function keyringsFor(
  source: AptSource | undefined,
  host: AptConfiguration,
  toolsRoot: string | undefined,
): Promise<PackageSources['keyrings']> {
  if (source?.embeddedKey !== undefined) {
    return [{ path: '/embedded-key.asc', bytes: Buffer.from(source.embeddedKey) }]
  }
  if (source !== undefined && source.keyrings.length > 0) {
    return Promise.all(source.keyrings.map(async (path) => ({ path, bytes: await readKeyring(path) })))
  }
  const archive = await debianArchiveKeyring(toolsRoot === undefined ? ['/'] : ['/', toolsRoot])
  if (archive !== undefined) return [{ path: archive, bytes: await readKeyring(archive) }]
  // A source that names no keyring is verified with all keys that this host trusts.
  const trusted = source === undefined ? [] : host.trustedKeyrings
  if (trusted.length === 0) throw noKeyring()
  return Promise.all(trusted.map(async (path) => ({ path, bytes: await readKeyring(path) })))
}

/** A snapshot is older than its `Valid-Until` by nature; a host that switched the check off for its mirror has a reason. */
function staleIsAllowed(source: AptSource | undefined, snapshot: string | undefined): [string, string][] {
  return snapshot !== undefined || source?.checkValidUntil === false ? [['Acquire::Check-Valid-Until', 'false']] : []
}

function requireTimestamp(timestamp: string): void {
  if (/^\d{8}T\d{6}Z$/.test(timestamp)) return
  throw new BootwrightError('INVALID_ARGUMENT', `A snapshot is a time like 20260501T000000Z, not "${timestamp}"`, {
    hint: 'Use one of the timestamps that the snapshot service lists.',
  })
}

function requireMirror(mirror: string): void {
  if (/^(https?|ftp|file|copy):\/[^\s"\\;{}]+$/.test(mirror)) return
  throw new BootwrightError(
    'INVALID_ARGUMENT',
    `A mirror is an address like http://mirror.example/debian, not "${mirror}"`,
    {
      hint: 'Give the directory of the mirror that holds "dists".',
    },
  )
}
