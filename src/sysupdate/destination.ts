import { checkGptName } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { FatPlace } from './fat-place.ts'
import { partitionRole, unfinishedType } from './partition-types.ts'
import { formatPattern, type PatternFields } from './pattern.ts'
import type { PlanBehaviour } from './plan.ts'
import type { TargetPlace } from './target-place.ts'
import type { Instance, Resource, Transfer } from './types.ts'

/** A file to be, below the directory of its target. */
export interface FileTarget {
  /** What paths are resolved below. */
  readonly root: string
  readonly directory: string
  /** Whether links on the way to the directory are taken as they are meant below the root, or not at all; `inside` without. */
  readonly links?: 'inside' | 'strict' | undefined
  /** Below the directory; may contain slashes. No link is followed from there on. */
  readonly name: string
  readonly mode?: number | undefined
  /** When it was changed last, in microseconds since 1970; the server's word without. */
  readonly mtimeUs?: bigint | undefined
  readonly readOnly?: boolean | undefined
  /** The file system of a disk image that it is in; root and directory mean nothing then. */
  readonly fat?: FatPlace
  /** Of a directory: whether it is a subvolume, where the file system has them. */
  readonly isSubvolume?: boolean
}

/** A slot to fill: one of the partitions of a type that are called `_empty`. */
export interface PartitionTarget {
  /** Block device, or a file that is the image of a disk. */
  readonly disk: string
  /** UUIDs of the type, and of what is derived from it for a slot that is being written or not valid yet. */
  readonly types: { readonly own: string; readonly partial: string; readonly pending: string }
  readonly label: string
  readonly uuid?: string | undefined
  /** All 64 of them; those below change single ones. What is absent stays as it is. */
  readonly flags?: bigint | undefined
  readonly noAuto?: boolean | undefined
  readonly readOnly?: boolean | undefined
  readonly growFileSystem?: boolean | undefined
}

/** Where one version of a transfer goes. */
export type Destination =
  | (FileTarget & { readonly kind: 'file' })
  | (FileTarget & { readonly kind: 'directory' })
  | (PartitionTarget & { readonly kind: 'partition' })

const [DEFAULT_TRIES_LEFT, DEFAULT_TRIES_DONE] = [3n, 0n]

/**
 * Says where an instance goes, and as what: what the definition says goes before what the name of the source tells.
 *
 * Rejects with `UPDATE_REFUSED` when the target pattern gives no name that a file or partition can have. `original` leaves out
 * the single flags of partitions, as systemd 262 does.
 */
export function destinationOf(
  transfer: Transfer,
  instance: Instance,
  place: TargetPlace,
  behaviour: PlanBehaviour = 'correct',
): Destination {
  const fields = fieldsOf(transfer, instance)
  const [pattern] = transfer.target.patterns
  if (pattern === undefined) throw new BootwrightError('BUG', `${transfer.id} has no target pattern`)
  const name = formatPattern(pattern, fields)
  if (place.kind === 'partitions') {
    checkLabel(name)
    return {
      kind: 'partition',
      disk: place.disk,
      types: slotTypes(transfer.target),
      label: name,
      uuid: fields.partitionUuid,
      flags: fields.partitionFlags,
      ...(behaviour === 'original' ? {} : knownFlags(transfer.target.partitionType, fields)),
    }
  }
  checkFileName(name)
  const isDirectory = transfer.target.type === 'directory' || transfer.target.type === 'subvolume'
  return {
    kind: isDirectory ? 'directory' : 'file',
    ...(transfer.target.type === 'subvolume' ? { isSubvolume: true } : {}),
    ...(place.kind === 'fat'
      ? { fat: place, root: '/', directory: place.directory }
      : { root: place.root, directory: place.directory, links: place.links }),
    name,
    mode: fields.mode,
    mtimeUs: fields.mtimeUs,
    readOnly: fields.readOnly,
  }
}

/** The type of a target's partitions, and what it is in the meantime. */
export function slotTypes({ partitionType: own }: Resource): PartitionTarget['types'] {
  return { own, partial: unfinishedType(own, 'partial'), pending: unfinishedType(own, 'pending') }
}

function fieldsOf(transfer: Transfer, { fields, type }: Instance): Mutable<PatternFields> {
  // What is in an archive has its own times and modes.
  const isTar = type === 'tar' || type === 'url-tar'
  const { mtimeUs, mode, ...rest } = fields
  return withoutUndefined({
    ...rest,
    partitionUuid: transfer.partitionUuid ?? fields.partitionUuid,
    partitionFlags: transfer.partitionFlags ?? fields.partitionFlags,
    noAuto: transfer.partitionNoAuto ?? fields.noAuto,
    growFileSystem: transfer.partitionGrowFileSystem ?? fields.growFileSystem,
    readOnly: transfer.readOnly ?? fields.readOnly,
    mtimeUs: isTar ? undefined : mtimeUs,
    mode: transfer.mode ?? (isTar ? undefined : mode),
    triesLeft: transfer.triesLeft ?? fields.triesLeft ?? DEFAULT_TRIES_LEFT,
    triesDone: transfer.triesDone ?? fields.triesDone ?? DEFAULT_TRIES_DONE,
  }) as Mutable<PatternFields>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<T>
}

/** What each flag means something for (UAPI.2): single ones are left alone on other partitions. */
const KNOW_READ_ONLY = /^(?:root|usr)(?:-verity|-verity-sig)?$|^(?:home|srv|var|tmp|xbootldr)$/
const KNOW_GROW = /^(?:root|usr|home|srv|var|tmp|xbootldr)$/
const KNOW_NO_AUTO = /^(?:root|usr)(?:-verity)?$|^(?:home|srv|var|tmp|xbootldr|swap)$/

function knownFlags(
  type: string,
  fields: PatternFields,
): Pick<PartitionTarget, 'noAuto' | 'readOnly' | 'growFileSystem'> {
  const role = partitionRole(type) ?? ''
  return {
    noAuto: KNOW_NO_AUTO.test(role) ? fields.noAuto : undefined,
    readOnly: KNOW_READ_ONLY.test(role) ? fields.readOnly : undefined,
    growFileSystem: KNOW_GROW.test(role) ? fields.growFileSystem : undefined,
  }
}

function checkLabel(label: string): void {
  try {
    checkGptName(label)
  } catch (cause) {
    throw refused(`Formatted pattern is not suitable as GPT partition label, refusing: ${label}`, cause)
  }
}

/** Rejects with `UPDATE_REFUSED` what is no name below a directory. */
export function checkFileName(name: string): void {
  const parts = name.split('/')
  if (!name.includes('\0') && parts.every((part) => part !== '' && part !== '.' && part !== '..')) return
  throw refused(`Formatted pattern is not suitable as file name, refusing: ${name}`)
}

function refused(message: string, cause?: unknown): BootwrightError {
  return new BootwrightError('UPDATE_REFUSED', message, { cause, hint: 'Correct MatchPattern= of the target.' })
}
