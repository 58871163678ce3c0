import { realpathSync, statSync } from 'node:fs'
import { type Gpt, parseGpt } from '../formats/index.ts'
import { BootwrightError, openDisk } from '../system/index.ts'
import { hostSpecifiers, systemArchitecture } from './host-specifiers.ts'
import { directoryInstances, manifestInstances, partitionInstances, resourceDirectory } from './instances.ts'
import { fetchManifest, findKeyrings, type ManifestEntry } from './manifest/index.ts'
import type { PlannedTransfer } from './plan.ts'
import { type DefinitionPlace, type Definitions, readDefinitions } from './read-definitions.ts'
import { resolveBelow } from './root-path.ts'
import type { Instance, Resource, Transfer } from './types.ts'

export interface UpdatesOptions extends DefinitionPlace {
  readonly transferSource: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface OpenedUpdates extends Definitions {
  /** What is installed and available of the transfers that are on; sources are asked unless `isOffline`. */
  discover(options: DiscoverOptions): Promise<readonly (Transfer & PlannedTransfer)[]>
}

export interface DiscoverOptions {
  readonly isOffline: boolean
  /** In place of what each transfer says (`--verify=`). */
  readonly verify: boolean | undefined
  /** Whether expired keys count, and the vendor's beside the administrator's, as in systemd 262. */
  readonly compat: boolean
  readonly warn: (text: string) => void
}

const EMPTY_GPT: Pick<Gpt, 'partitions'> = { partitions: [] }

/**
 * Reads the definitions of a system or component, and finds where their targets are. Rejects with `MALFORMED_INPUT` for a
 * definition that cannot be used, and with `UPDATE_REFUSED` for a target that is no place for updates.
 */
export function openUpdates(options: UpdatesOptions): OpenedUpdates {
  const { root, transferSource, environment } = options
  const definitions = readDefinitions(options, {
    specifiers: hostSpecifiers(root),
    architecture: systemArchitecture(),
    transferSource,
  })
  const bases = {
    ...baseOf('esp', environment.SYSTEMD_ESP_PATH),
    ...baseOf('xbootldr', environment.SYSTEMD_XBOOTLDR_PATH),
    ...baseOf('explicit', transferSource),
  }
  const directoryOf = (resource: Resource): string => {
    const directory = resourceDirectory(resource, root, bases)
    if (directory !== undefined) return directory
    throw new BootwrightError('UPDATE_REFUSED', 'Failed to resolve $BOOT', {
      hint: 'SYSTEMD_ESP_PATH and SYSTEMD_XBOOTLDR_PATH say where the EFI and boot partitions are mounted.',
    })
  }
  const placed = definitions.transfers.map((transfer) => {
    const isPartition = transfer.target.type === 'partition'
    const path = isPartition ? diskOf(transfer.target, root) : directoryOf(transfer.target)
    // The original looks at the table before anything else, whatever it is asked.
    return { transfer, path, gpt: isPartition ? readTable(path) : EMPTY_GPT }
  })
  return {
    ...definitions,
    async discover({ isOffline, verify, compat, warn }) {
      const manifests = new Map<string, Promise<readonly ManifestEntry[]>>()
      const entriesOf = (transfer: Transfer): Promise<readonly ManifestEntry[]> => {
        const isVerified = verify ?? transfer.isVerified
        const key = `${isVerified} ${transfer.source.path}`
        const known =
          manifests.get(key) ?? readManifest(transfer.source.path, isVerified, { root, environment, compat, warn })
        manifests.set(key, known)
        return known
      }
      const found: (Transfer & PlannedTransfer)[] = []
      for (const { transfer, path, gpt } of placed) {
        if (definitions.transfers.find(({ id }) => id === transfer.id)?.isEnabled !== true) continue
        const installed =
          transfer.target.type === 'partition'
            ? partitionInstances(transfer.target, gpt, path).instances
            : directoryInstances(transfer.target, path)
        let available: readonly Instance[] = []
        if (!isOffline) {
          available = isRemote(transfer.source)
            ? manifestInstances(transfer.source, await entriesOf(transfer))
            : directoryInstances(transfer.source, directoryOf(transfer.source))
        }
        found.push({ ...transfer, installed, available })
      }
      return found
    },
  }
}

function baseOf<Name extends string>(name: Name, path: string | undefined): { readonly [key in Name]?: string } {
  return path === undefined ? {} : ({ [name]: path } as { readonly [key in Name]?: string })
}

function isRemote({ type }: Resource): boolean {
  return type === 'url-file' || type === 'url-tar'
}

async function readManifest(
  url: string,
  isVerified: boolean,
  {
    root,
    environment,
    compat,
    warn,
  }: Pick<UpdatesOptions, 'root' | 'environment'> & Pick<DiscoverOptions, 'compat' | 'warn'>,
): Promise<readonly ManifestEntry[]> {
  const override = environment.SYSTEMD_OPENPGP_KEYRING
  const keyrings = isVerified ? await findKeyrings({ root, override, mergeVendor: compat }) : undefined
  const isFreshnessAsked = environment.SYSTEMD_SYSUPDATE_VERIFY_FRESHNESS !== '0'
  const { entries, warnings } = await fetchManifest(url, {
    keyrings,
    now: isFreshnessAsked ? new Date() : undefined,
    acceptExpiredKeys: compat,
  })
  for (const warning of warnings) warn(warning)
  return entries
}

/** The disk of a partition target: a block device, or a file with a table in it. */
function diskOf({ path }: Resource, root: string): string {
  const shown = path === 'auto' ? 'The disk of the running system' : path
  if (path !== 'auto') {
    const found = resolveBelow(root, path)
    const facts = statSync(found, { throwIfNoEntry: false })
    if (facts?.isFile() === true) return found
    if (facts?.isBlockDevice() === true && root === '/') return realpathSync(found)
    if (facts === undefined) throw refused(`Failed to open '${path}': No such file or directory`)
    if (facts.isBlockDevice()) throw refused('Block device is not allowed when using --root= mode.')
  }
  throw refused(`${shown} cannot be found from here: name a block device or a disk image in Path=`)
}

function readTable(path: string): Pick<Gpt, 'partitions'> {
  using disk = openDisk(path)
  try {
    return parseGpt(disk)
  } catch (cause) {
    if (!(cause instanceof BootwrightError) || cause.code !== 'MALFORMED_INPUT') throw cause
    throw refused(`Disk ${path} has no GPT disk label, not suitable.`, cause)
  }
}

function refused(message: string, cause?: unknown): BootwrightError {
  return new BootwrightError('UPDATE_REFUSED', message, { cause, hint: 'sysupdate.d(5), Path= of [Target].' })
}
