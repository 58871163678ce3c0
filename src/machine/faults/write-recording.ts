import { constants } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseWriteLog, type WriteLog } from '../../formats/index.ts'
import { openDisk } from '../../system/index.ts'
import type { Qmp } from '../qmp.ts'
import { type BlockLayer, type BlockLayers, KEEPS_DISCARDS, nodeName } from './block-layers.ts'

/** What was written to a machine's disk, and the disk as it was before. */
export interface RecordedWrites {
  /** A qcow2 disk that nobody writes to. */
  readonly basePath: string
  readonly logPath: string
  /**
   * Reads the log. Where the machine was paused or ended for it, QEMU has flushed as well: such a flush is the last entry.
   * Rejects with `MALFORMED_INPUT`.
   */
  log(): Promise<WriteLog>
}

/** Every write, discard and flush is logged until {@link end}, or until the machine ends. */
export interface WriteRecording extends RecordedWrites, AsyncDisposable {
  /** Resolves when everything up to now is in the log. */
  end(): Promise<void>
}

let recordings = 0

/**
 * Logs what is written to a machine's disk from now on (QEMU's `blklogwrites`). The machine is paused while the disk as it
 * is now is put aside.
 *
 * @param directory the machine's own; the log and the base stay there
 */
export async function recordWrites(qmp: Qmp, layers: BlockLayers, directory: string): Promise<WriteRecording> {
  recordings += 1
  const basePath = join(directory, `writes-${recordings}.base.qcow2`)
  const logPath = join(directory, `writes-${recordings}.log`)
  const { running } = await qmp.execute('query-status')
  // It completes and flushes all requests: the file is the disk.
  await qmp.execute('stop')
  let remove: () => Promise<void>
  try {
    await copyFile(join(directory, 'disk.qcow2'), basePath, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    await writeFile(logPath, '', { flag: 'wx' })
    remove = await layers.push(logLayer(logPath))
  } finally {
    if (running) await qmp.execute('cont')
  }
  let ending: Promise<void> | undefined
  const end = () => {
    ending ??= remove()
    return ending
  }
  return { ...recordedWrites({ basePath, logPath }), end, [Symbol.asyncDispose]: end }
}

/** A base and a log that a recording has left. */
export function recordedWrites(paths: { basePath: string; logPath: string }): RecordedWrites {
  const log = async (): Promise<WriteLog> => {
    using file = openDisk(paths.logPath)
    return parseWriteLog(file)
  }
  return { ...paths, log }
}

/**
 * QEMU merges requests of up to 1024 pieces (IOV_MAX), and the log adds two to each: what then is larger than that the host
 * refuses, and the guest would see errors. A piece is a sector at least.
 */
const MAX_REQUEST_BYTES = 1_000 * 512

/**
 * QEMU's node that logs what goes through it.
 *
 * @param below name or options of the node that it lies on
 */
export function logNode(below: string | object, logPath: string, isAppended: boolean): object {
  const log = {
    driver: 'blklogwrites',
    file: below,
    log: { driver: 'file', filename: logPath },
    'log-append': isAppended,
    ...KEEPS_DISCARDS,
  }
  return { driver: 'blkdebug', image: log, 'max-transfer': MAX_REQUEST_BYTES, ...KEEPS_DISCARDS }
}

function logLayer(logPath: string): BlockLayer {
  let isOld = false
  return {
    async open(qmp, below) {
      const node = nodeName('log')
      // Put over another layer than before, it goes on where it was.
      await qmp.execute('blockdev-add', { 'node-name': node, ...logNode(below, logPath, isOld) })
      isOld = true
      return [node]
    },
  }
}
