/**
 * Completes package-lock.json after an `npm install` on a registry that does not carry the optional packages of foreign
 * platforms: npm leaves them out, and `npm ci` then refuses the lock file on every machine.
 *
 * An entry without a digest is only ever used on a platform that we do not run on.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

interface Entry {
  version?: string
  optionalDependencies?: Record<string, string>
  dev?: boolean
}

const file = resolve(import.meta.dirname, '../package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }
const added: Record<string, object> = {}

for (const { optionalDependencies = {}, dev } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`
    if (key in lock.packages) continue
    const os = /android|darwin|win32|freebsd|openharmony|netbsd|openbsd|sunos|aix|linux/.exec(name)?.[0]
    if (os === undefined)
      throw new Error(`${name} ${version} is missing from the lock file, and its name tells no platform`)
    const cpu = /arm64|x64|ia32|ppc64|riscv64|s390x|loong64|arm(?=-)/.exec(name)?.[0]
    added[key] = {
      version,
      ...(cpu === undefined ? {} : { cpu: [cpu] }),
      ...(dev === true ? { dev: true } : {}),
      ...(name.includes('musl') ? { libc: ['musl'] } : {}),
      optional: true,
      os: [os],
    }
  }
}

const packages = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => (a < b ? -1 : 1))
writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`)
process.stdout.write(`${Object.keys(added).length} entries added\n`)
