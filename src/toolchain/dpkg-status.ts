import { parseDeb822 } from './apt-sources.ts'

/** Versions of the installed packages in a dpkg status file, by package name. */
export function installedVersions(status: string): Map<string, string> {
  const versions = new Map<string, string>()
  for (const stanza of parseDeb822(status)) {
    const name = stanza.get('package')
    const version = stanza.get('version')
    if (name === undefined || version === undefined) continue
    if (stanza.get('status') === 'install ok installed') versions.set(name, version)
  }
  return versions
}
