import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type CredentialEntry, isAddress, parseUserData, staticRecords, storeCredential } from '../../imds/index.ts'
import { placeFile } from '../place-file.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import { type Metadata, readUserData } from './metadata.ts'
import { text } from './summary.ts'

export interface ImportOptions {
  readonly runDirectory: string
  readonly compat: boolean
  readonly log: (line: string) => void
  readonly measure: (userData: Uint8Array) => Promise<void>
}

/**
 * Imports what the cloud says of this instance: addresses for the resolver, host name, key and the credentials in the user data for
 * services. One failure does not keep the rest from being imported. Returns whether all went well.
 */
export async function importMetadata(from: Metadata, options: ImportOptions): Promise<boolean> {
  const failures: string[] = []
  const attempt = async (step: () => Promise<void> | void): Promise<void> => {
    try {
      await step()
    } catch (error) {
      if (!(error instanceof ToolFailure || isSystemError(error))) throw error
      failures.push(error instanceof ToolFailure ? error.message : errnoText(error))
      options.log(failures.at(-1) ?? '')
    }
  }
  await importAddresses(from, options)
  await attempt(() => importField(from, 'hostname', 'firstboot.hostname', options))
  await attempt(() => importField(from, 'ssh-key', 'ssh.authorized_keys.root', options))
  await attempt(() => importUserData(from, options))
  return failures.length === 0
}

/** Names for addresses are a service to the administrator: that there are none is no failure. */
async function importAddresses(from: Metadata, options: ImportOptions): Promise<void> {
  const addresses: string[] = []
  for (const [field, family] of [
    ['ipv4-public', 4],
    ['ipv6-public', 6],
  ] as const) {
    const value = await from.get(field).then(
      (found) => trimmed(found, options),
      (error: unknown) => {
        if (!(error instanceof ToolFailure)) throw error
        options.log(error.message)
        return undefined
      },
    )
    if (value === undefined || value === '') continue
    if (isAddress(value, family)) addresses.push(value)
    else options.log(`The cloud's ${field} is no such address: ${JSON.stringify(value.slice(0, 80))}`)
  }
  if (addresses.length === 0) return
  const path = join(options.runDirectory, 'systemd/resolve/static.d/imds-public.rr')
  try {
    placeFile(path, staticRecords('_public', addresses), 0o644)
  } catch (error) {
    options.log(`Cannot write ${path}: ${errnoText(error)}`)
  }
}

async function importField(
  from: Metadata,
  field: 'hostname' | 'ssh-key',
  credential: string,
  options: ImportOptions,
): Promise<void> {
  const value = await from.get(field)
  const content = field === 'hostname' ? trimmed(value, options) : text(value)
  if (content === undefined || content === '' || value === undefined) return
  const bytes = field === 'hostname' ? Buffer.from(content) : value
  if (!storeCredential(join(options.runDirectory, 'credstore'), credential, bytes)) {
    options.log(`The credential ${credential} is there already.`)
  }
}

async function importUserData(from: Metadata, options: ImportOptions): Promise<void> {
  const { runDirectory, compat, log } = options
  const path = join(runDirectory, 'systemd/imds/userdata')
  const userData = await readUserData(from)
  if (userData === undefined) {
    rmSync(path, { force: true })
    return log('There are no user data.')
  }
  await options.measure(userData).catch((error: Error) => log(`The user data were not measured: ${error.message}`))
  // What may hold secrets is root's to read, which the original leaves to everybody.
  placeFile(path, userData, compat ? 0o644 : 0o600)
  const parsed = parseUserData(userData)
  if (parsed.kind === 'foreign') return log(`The user data are left to others: ${parsed.why}.`)
  if (parsed.kind === 'broken') throw new ToolFailure(`The user data cannot be imported: ${parsed.why}.`)
  const problems = parsed.entries.flatMap((entry) => importEntry(entry, options) ?? [])
  for (const problem of problems) log(problem)
  if (problems.length > 0)
    throw new ToolFailure(`${problems.length} of ${parsed.entries.length} credentials were refused.`)
}

/** What is wrong with it, if anything. */
function importEntry(entry: CredentialEntry, { runDirectory, log }: ImportOptions): string | undefined {
  if ('problem' in entry) return entry.problem
  const directory = join(runDirectory, entry.isEncrypted ? 'credstore.encrypted' : 'credstore')
  try {
    if (!storeCredential(directory, entry.name, entry.content)) log(`The credential ${entry.name} is there already.`)
    return undefined
  } catch (error) {
    return `Cannot store the credential ${entry.name}: ${errnoText(error)}`
  }
}

/** Endpoints end a value with a newline now and then, which belongs to none of these. */
function trimmed(value: Uint8Array | undefined, { compat }: ImportOptions): string | undefined {
  return compat ? text(value) : text(value)?.trim()
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
