import { readFile } from 'node:fs/promises'
import { BootwrightError } from '../system/index.ts'
import { programPath } from './program-path.ts'

/** The distributions that the managed tools can come from. */
export type ToolsDistribution = 'debian' | 'fedora' | 'arch'

/** What a tools tree is made of on this host. */
export interface ToolsOrigin {
  readonly distribution: ToolsDistribution
  /** `ToolsTreeRelease=` of mkosi; undefined for Debian, whose release is our own choice. */
  readonly release: string | undefined
  /** The host's name for itself, for messages. */
  readonly hostName: string
}

export interface OriginOptions {
  /** os-release(5) of the host; tests give one of their own. */
  readonly osReleaseFile?: string | undefined
}

/** The fields of os-release(5) that tell the distributions apart. */
export interface OsRelease {
  /** `ID` and then those of `ID_LIKE`, nearest first. */
  readonly ids: readonly string[]
  readonly versionId: string | undefined
  readonly prettyName: string
}

/**
 * Where the tools come from: Debian wherever apt can fetch it, since that tree is the same on every host; else the
 * host's own distribution. Rejects with `HOST_UNSUITABLE` where neither can be.
 */
export async function toolsOrigin(options: OriginOptions = {}): Promise<ToolsOrigin> {
  const osRelease = await readOsRelease(options.osReleaseFile)
  const hostName = osRelease.prettyName
  const isDebian = osRelease.ids.includes('debian') || (await programPath('apt-get')) !== undefined
  if (isDebian) return { distribution: 'debian', release: undefined, hostName }
  // What is only like Fedora (RHEL, CentOS) counts its releases differently.
  if (osRelease.ids[0] === 'fedora') return { distribution: 'fedora', release: osRelease.versionId, hostName }
  for (const id of osRelease.ids) {
    if (id === 'arch') return { distribution: 'arch', release: 'rolling', hostName }
    if (/^(?:opensuse|suse)/.test(id)) {
      throw unsuitable(`${hostName} has no package of apt, without which mkosi cannot build a Debian image`)
    }
  }
  throw unsuitable(`No tools tree is known for ${hostName}: it has no apt, and is neither Fedora nor Arch Linux`)
}

/** Reads os-release(5): the first of its two places that exists. */
export async function readOsRelease(file?: string): Promise<OsRelease> {
  for (const path of file === undefined ? ['/etc/os-release', '/usr/lib/os-release'] : [file]) {
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return parseOsRelease(text)
  }
  return parseOsRelease('')
}

function parseOsRelease(text: string): OsRelease {
  const fields = new Map<string, string>()
  for (const [, name, value] of text.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)) {
    fields.set(name ?? '', (value ?? '').trim().replace(/^(['"])(.*)\1$/, '$2'))
  }
  const id = fields.get('ID') ?? 'linux'
  return {
    ids: [id, ...(fields.get('ID_LIKE') ?? '').split(/\s+/).filter((word) => word !== '')],
    versionId: fields.get('VERSION_ID'),
    prettyName: fields.get('PRETTY_NAME') ?? fields.get('NAME') ?? id,
  }
}

function unsuitable(message: string): BootwrightError {
  return new BootwrightError('HOST_UNSUITABLE', message, {
    hint: "Install apt, dpkg and Debian's archive keyring by other means and give --mirror URL, or run on Debian, Ubuntu, Fedora or Arch Linux.",
  })
}
