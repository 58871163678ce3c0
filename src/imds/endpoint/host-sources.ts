import { accessSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Endpoint } from './endpoint.ts'
import { hardwareProperties } from './hardware.ts'
import type { EndpointSources } from './sources.ts'

/** More is in none of these files. */
const MAX_BYTES = 1024 * 1024

/** What this host says of its endpoint. */
export function hostSources(
  commandLine: Endpoint | undefined,
  { compat, environment }: { readonly compat: boolean; readonly environment: EndpointSources['environment'] },
): EndpointSources {
  const credentials = environment.CREDENTIALS_DIRECTORY
  return {
    commandLine,
    environment,
    // The original's override, for those who try things out.
    kernelCommandLine: environment.SYSTEMD_PROC_CMDLINE ?? readText('/proc/cmdline') ?? '',
    isInitrd: isInitrd(environment),
    credential: (name) => (credentials === undefined ? undefined : readText(join(credentials, name))),
    // The last to be asked, and not for nothing: the database is large.
    get udevProperties() {
      const known = udevProperties(readText('/run/udev/data/+dmi:id') ?? '')
      return compat || known.has('IMDS_VENDOR') ? known : propertiesOfHardware()
    },
    compat,
  }
}

/** The properties in a record of udev's database. */
export function udevProperties(record: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>()
  for (const line of record.split('\n')) {
    const [, name, value] = /^E:([^=]+)=(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) properties.set(name, value)
  }
  return properties
}

/** A database that is none says nothing. */
function propertiesOfHardware(): ReadonlyMap<string, string> {
  try {
    return hardwareProperties('/')
  } catch {
    return new Map()
  }
}

function isInitrd(environment: EndpointSources['environment']): boolean {
  const { SYSTEMD_IN_INITRD: said } = environment
  if (said !== undefined) return /^(1|yes|y|true|t|on)$/i.test(said)
  try {
    accessSync('/etc/initrd-release')
    return true
  } catch {
    return false
  }
}

/** Undefined where there is no such file; what cannot be text is as if it were not there. */
function readText(path: string): string | undefined {
  try {
    const bytes = readFileSync(path)
    return bytes.length > MAX_BYTES || bytes.includes(0) ? undefined : bytes.toString()
  } catch {
    return undefined
  }
}
