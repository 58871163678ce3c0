import { BootwrightError } from '../../system/index.ts'
import type { Destination } from '../destination.ts'
import {
  type AcquireOptions,
  acquireDirectory,
  acquireFile,
  acquireInFat,
  acquirePartition,
  type Payload,
} from '../install/index.ts'
import type { Instance } from '../types.ts'
import { contentWord, readAcquired, writeAcquired } from './acquired-record.ts'
import type { Part, PreparedUpdate } from './prepare.ts'
import { removeInstance } from './remove-instance.ts'
import type { Run } from './run.ts'

/** Brings the parts of a version that are missing into place, so that they only have to be activated. */
export async function acquireParts(run: Run, { set, parts }: PreparedUpdate): Promise<void> {
  run.tell({ kind: 'step', step: 'acquiring-all', version: set.version })
  let acquired = readAcquired(run, set.version)
  for (const part of parts) {
    if (part.todo !== 'acquire') continue
    run.signal?.throwIfAborted()
    if (part.replaces !== undefined) {
      run.tell({ kind: 'removing', reason: 'outdated', path: part.replaces.path, type: part.replaces.type })
      await removeInstance(part.transfer, part.replaces, run)
    }
    run.tell({ kind: 'acquiring', transfer: part.transfer.id, from: part.instance.path, to: shownDestination(part) })
    await acquirePart(part, {
      ...run.retry,
      signal: run.signal,
      isSynced: run.isSynced,
      keepsPartial: run.behaviour === 'original',
      mayLeaveHost: run.behaviour === 'original',
      ...(run.lock === undefined ? {} : { lock: run.lock }),
      onProgress: (receivedBytes, totalBytes) => {
        const place = { transfer: part.transfer.id, index: part.index, count: set.instances.length }
        run.tell({ kind: 'progress', version: set.version, ...place, receivedBytes, totalBytes })
      },
    })
    acquired = { ...acquired, [part.transfer.id]: contentWord(part.instance) }
    writeAcquired(run, set.version, acquired)
    run.tell({ kind: 'info', text: `Successfully acquired '${part.instance.path}'.` })
  }
}

async function acquirePart({ instance, destination }: Part, options: AcquireOptions): Promise<void> {
  if (destination.kind === 'partition') {
    await acquirePartition(destination, payloadOf(instance), options)
    return
  }
  const { kind, fat } = destination
  if (fat !== undefined) {
    const source = kind === 'file' ? { file: payloadOf(instance) } : { tree: treeOf(instance) }
    return acquireInFat(fat, destination, source, options)
  }
  if (kind === 'file') return acquireFile(destination, payloadOf(instance), options)
  return acquireDirectory(destination, treeOf(instance), options)
}

function treeOf(instance: Instance): Parameters<typeof acquireDirectory>[1] {
  const isArchive = instance.type === 'tar' || instance.type === 'url-tar'
  return isArchive ? { archive: payloadOf(instance) } : { directory: instance.path }
}

function payloadOf({ type, path, address, fields }: Instance): Payload {
  const size = fields.size === undefined ? undefined : Number(fields.size)
  if (type !== 'url-file' && type !== 'url-tar') return { path, size }
  if (fields.sha256 === undefined) {
    throw new BootwrightError('UPDATE_REFUSED', `SHA256 checksum not known for download '${path}', refusing.`)
  }
  return { url: address ?? path, sha256: fields.sha256, size }
}

/** Which slot it will be is not known before. */
function shownDestination({ transfer, destination }: Part): string {
  return transfer.place.kind !== 'partitions' && destination.kind !== 'partition'
    ? `${transfer.place.path}/${destination.name}`
    : nameOf(destination)
}

function nameOf(destination: Destination): string {
  return destination.kind === 'partition' ? `${destination.disk} (${destination.label})` : destination.name
}
