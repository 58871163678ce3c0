import { BootwrightError } from '../system/index.ts'
import { readFailed } from './apply/failed-record.ts'
import { findBootPartitions } from './boot-partitions.ts'
import { hostSpecifiers, systemArchitecture } from './host-specifiers.ts'
import type { RetryOptions } from './install/index.ts'
import {
  type DirectoryOptions,
  directoryInstances,
  fatInstances,
  manifestInstances,
  partitionInstances,
} from './instances.ts'
import { fetchManifest, findKeyrings, type ManifestEntry } from './manifest/index.ts'
import type { PlannedTransfer } from './plan.ts'
import { type DefinitionPlace, type Definitions, readDefinitions } from './read-definitions.ts'
import { directoryOf, findTargetPlace, type PathBases, readTable, type TargetPlace } from './target-place.ts'
import type { Instance, Resource, Transfer } from './types.ts'

export interface UpdatesOptions extends DefinitionPlace {
  /** The image of a disk whose partitions are the targets, in place of the system's. */
  readonly image?: string | undefined
  readonly transferSource: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** A transfer with where its target is. */
export interface PlacedTransfer extends Transfer {
  readonly isEnabled: boolean
  readonly place: TargetPlace
}

/** A transfer with what is installed and available of it. */
export interface FoundTransfer extends PlacedTransfer, PlannedTransfer {
  /** Partitions of the type that hold nothing. */
  readonly emptySlots: number
}

export interface OpenedUpdates extends Omit<Definitions, 'transfers'> {
  /** `/`, or the root of another system. */
  readonly root: string
  readonly transfers: readonly PlacedTransfer[]
  /** Versions that have burnt all their tries at some time. */
  readonly failedBefore: readonly string[]
  /** What is installed and available of the transfers that are on; sources are asked unless `isOffline`. */
  discover(options: DiscoverOptions): Promise<readonly FoundTransfer[]>
  /** What is installed of those that are off. */
  discoverDisabled(): readonly FoundTransfer[]
}

export interface DiscoverOptions extends RetryOptions, DirectoryOptions {
  readonly signal?: AbortSignal | undefined
  readonly isOffline: boolean
  /** In place of what each transfer says (`--verify=`). */
  readonly verify: boolean | undefined
  /** Whether expired keys count, and the vendor's beside the administrator's, as in systemd 262. */
  readonly compat: boolean
  readonly warn: (text: string) => void
}

/** Specifiers that say something of the machine that this program runs on. */
const OF_HOST: readonly string[] = ['a', 'T', 'V']

/**
 * Reads the definitions of a system or component, and finds where their targets are. Rejects with `MALFORMED_INPUT` for a
 * definition that cannot be used, and with `UPDATE_REFUSED` for a target that is no place for updates.
 */
export function openUpdates(options: UpdatesOptions): OpenedUpdates {
  const { root, image, transferSource, environment } = options
  const host = hostSpecifiers(root)
  const definitions = readDefinitions(options, {
    // What this system says of itself is not true of the one in an image.
    specifiers: image === undefined ? host : (letter) => (OF_HOST.includes(letter) ? host(letter) : undefined),
    architecture: systemArchitecture(),
    transferSource,
  })
  const needsBoot = definitions.transfers
    .flatMap(({ source, target }) => [source, target])
    .some(({ pathRelativeTo }) => ['esp', 'xbootldr', 'boot'].includes(pathRelativeTo))
  const bases: PathBases = {
    ...(needsBoot && image === undefined ? findBootPartitions(root) : {}),
    ...baseOf('esp', environment.SYSTEMD_ESP_PATH),
    ...baseOf('xbootldr', environment.SYSTEMD_XBOOTLDR_PATH),
    ...baseOf('explicit', transferSource),
  }
  const transfers = definitions.transfers.map((transfer): PlacedTransfer => {
    const place = findTargetPlace(transfer.target, root, bases, image)
    // The original looks at the table before anything else, whatever it is asked.
    if (place.kind === 'partitions') readTable(place.disk)
    if (image !== undefined && transfer.currentSymlink !== undefined) {
      throw new BootwrightError('UPDATE_REFUSED', `CurrentSymlink= of ${transfer.id} cannot be made in a disk image`, {
        hint: 'Leave it out, or mount the image and use --root=.',
      })
    }
    return { ...transfer, place }
  })
  return {
    ...definitions,
    root,
    transfers,
    // Nothing is noted for definitions of somebody's own, nor in an image.
    failedBefore: options.directory === undefined && image === undefined ? readFailed(root, options.component) : [],
    async discover({ isOffline, ...asked }) {
      const manifests = new Map<string, Promise<readonly ManifestEntry[]>>()
      const entriesOf = (transfer: Transfer): Promise<readonly ManifestEntry[]> => {
        const isVerified = asked.verify ?? transfer.isVerified
        const key = `${isVerified} ${transfer.source.path}`
        const known = manifests.get(key) ?? readManifest(transfer.source.path, isVerified, { ...options, ...asked })
        manifests.set(key, known)
        return known
      }
      const found: FoundTransfer[] = []
      for (const transfer of transfers.filter(({ isEnabled }) => isEnabled)) {
        const { source } = transfer
        let available: readonly Instance[] = []
        if (!isOffline) {
          available = isRemote(source)
            ? manifestInstances(source, await entriesOf(transfer))
            : directoryInstances(source, directoryOf(source, root, bases), asked)
        }
        found.push({ ...transfer, ...installedOf(transfer, asked), available })
      }
      return found
    },
    discoverDisabled: () =>
      transfers
        .filter(({ isEnabled }) => !isEnabled)
        .map((transfer) => ({ ...transfer, ...installedOf(transfer), available: [] })),
  }
}

function installedOf(
  { target, place }: PlacedTransfer,
  options: DirectoryOptions = {},
): Pick<FoundTransfer, 'installed' | 'emptySlots'> {
  if (place.kind === 'files') return { installed: directoryInstances(target, place.path, options), emptySlots: 0 }
  if (place.kind === 'fat') return { installed: fatInstances(target, place), emptySlots: 0 }
  const { instances, empty } = partitionInstances(target, readTable(place.disk), place.disk)
  return { installed: instances, emptySlots: empty.length }
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
    ...retry
  }: Pick<UpdatesOptions, 'root' | 'environment'> & Omit<DiscoverOptions, 'isOffline' | 'verify'>,
): Promise<readonly ManifestEntry[]> {
  const override = environment.SYSTEMD_OPENPGP_KEYRING
  const keyrings = isVerified ? await findKeyrings({ root, override, mergeVendor: compat }) : undefined
  const isFreshnessAsked = environment.SYSTEMD_SYSUPDATE_VERIFY_FRESHNESS !== '0'
  const { entries, warnings } = await fetchManifest(url, {
    ...(retry.retries === undefined ? {} : { retries: retry.retries }),
    ...(retry.backOffMs === undefined ? {} : { backOffMs: retry.backOffMs }),
    signal: retry.signal,
    keyrings,
    now: isFreshnessAsked ? new Date() : undefined,
    acceptExpiredKeys: compat,
  })
  for (const warning of warnings) warn(warning)
  return entries
}
