import { chmodSync, lstatSync, renameSync } from 'node:fs'
import { BootwrightError, isSubvolume, setImmutable, setSubvolumeReadOnly } from '../../system/index.ts'
import type { FileTarget } from '../destination.ts'
import { PENDING } from './names.ts'
import type { AcquireOptions } from './payload-source.ts'
import { openPlace } from './place.ts'

const WRITE_BITS = 0o222

/**
 * Gives a file or directory that waits to be installed its final name. One that has it already stays as it is. Rejects with
 * `UPDATE_REFUSED` when there is none, or something else is in its place.
 *
 * @param pendingName the final name that it was to have when it was acquired, should that have been another one
 */
export function activate(
  kind: 'file' | 'directory',
  target: FileTarget,
  options: Pick<AcquireOptions, 'lock' | 'isSynced'> & { readonly pendingName?: string | undefined } = {},
): void {
  using place = openPlace(target, options)
  using before = openPlace({ ...target, name: options.pendingName ?? target.name }, options)
  const [pending, final] = [before.path(PENDING), place.path('')]
  const [waiting, present] = [kindOf(pending), kindOf(final)]
  if (waiting === undefined && present === kind) return
  if (waiting !== kind) {
    throw new BootwrightError('UPDATE_REFUSED', `${target.name} does not wait to be installed`, {
      hint: 'Acquire the update again.',
    })
  }
  // A link that is in the place of a file is replaced, not followed.
  if (present === 'directory' || (kind === 'directory' && present !== undefined)) {
    const what = present === 'directory' ? 'A directory' : 'Something else'
    throw new BootwrightError('UPDATE_REFUSED', `${what} is where the ${kind} ${target.name} should be`, {
      hint: 'Move it away.',
    })
  }
  if (target.readOnly === true && kind === 'file') chmodSync(pending, lstatSync(pending).mode & 0o7777 & ~WRITE_BITS)
  renameSync(pending, final)
  if (kind === 'file') place.syncRenamed('')
  // A directory that cannot be changed cannot be renamed either.
  if (target.readOnly === true && kind === 'directory') {
    if (isSubvolume(final)) setSubvolumeReadOnly(final, true)
    else setImmutable(final, true)
  }
  place.sync()
}

function kindOf(path: string): 'file' | 'directory' | 'other' | undefined {
  const facts = lstatSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return undefined
  return facts.isFile() ? 'file' : facts.isDirectory() ? 'directory' : 'other'
}
