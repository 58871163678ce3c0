import { activate, activateInFat, installPartition, PENDING, setCurrentLink } from '../install/index.ts'
import { partitionPath } from '../instances.ts'
import { removeAcquired } from './acquired-record.ts'
import { forgetFailed } from './failed-record.ts'
import { recordInstalled } from './install-database.ts'
import type { Part, PreparedUpdate } from './prepare.ts'
import type { Run } from './run.ts'

/** What was activated, and where it is. */
export interface InstalledPart {
  readonly transfer: string
  readonly path: string
}

/** Activates the parts of a version, one after the other in the order of the transfers: the entry of the boot loader comes last. */
export async function installParts(run: Run, { set, parts }: PreparedUpdate): Promise<readonly InstalledPart[]> {
  run.tell({ kind: 'step', step: 'installing', version: set.version })
  const installed: InstalledPart[] = []
  for (const part of parts) {
    const { transfer, instance } = part
    const path = await installPart(run, part)
    const text = `Successfully installed '${instance.path}' (${instance.type}) as '${path}' (${transfer.target.type}).`
    run.tell({ kind: 'info', text })
    if (transfer.currentSymlink !== undefined) link(run, part, transfer.currentSymlink, path)
    installed.push({ transfer: transfer.id, path })
  }
  removeAcquired(run)
  forgetFailed(run, set.version)
  run.tell({ kind: 'step', step: 'installed', version: set.version })
  return installed
}

async function installPart(run: Run, { transfer, instance, destination, todo }: Part): Promise<string> {
  const { place, target } = transfer
  if (destination.kind === 'partition') {
    const pendingLabel = todo === 'install' ? instance.label : undefined
    return partitionPath(destination.disk, await installPartition(destination, { pendingLabel }))
  }
  const directory = place.kind === 'partitions' ? '' : place.path
  const options = {
    isSynced: run.isSynced,
    ...(run.lock === undefined ? {} : { lock: run.lock }),
    pendingName: todo === 'install' ? finalName(instance.path.slice(directory.length + 1)) : undefined,
  }
  const { kind, fat } = destination
  if (fat === undefined) activate(kind, destination, options)
  else await activateInFat(kind, fat, destination, options)
  if (run.isRecorded && fat === undefined) recordInstalled(run, directory, target.patterns)
  return `${directory}/${destination.name}`
}

/** Of a file that has the name of one that is pending. */
function finalName(name: string): string {
  const at = name.lastIndexOf('/') + 1
  return name.slice(0, at) + name.slice(at).replace(PENDING, '')
}

function link({ opened, isSynced, tell }: Run, { transfer }: Part, currentSymlink: string, installed: string): void {
  const { place } = transfer
  const directory = place.kind === 'files' ? place.path : undefined
  const { path, target } = setCurrentLink(currentSymlink, installed, { root: opened.root, directory }, { isSynced })
  tell({ kind: 'info', text: `Updated symlink '${path}' → '${target}'.` })
}
