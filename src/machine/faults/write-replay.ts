import { type FileHandle, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  type CrashMode,
  settledBefore,
  stepsUpTo,
  type WriteLog,
  type WritePoint,
  type WriteStep,
  writePoints,
} from '../../formats/index.ts'
import { BootwrightError, quote, runUnchecked } from '../../system/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'
import { layOver, makeDisk } from '../disk.ts'
import type { StoppedMachine } from '../machine.ts'
import { recordFault } from './fault-record.ts'
import type { RecordedWrites } from './write-recording.ts'

export interface ReplayOptions {
  readonly toolchain: Toolchain
  /** What became of writes that no flush had settled; `exact` when absent. */
  readonly mode?: CrashMode
  readonly signal?: AbortSignal | undefined
}

/** A disk at a moment of a recording. */
export interface DiskAtPoint {
  readonly point: WritePoint
  /** A qcow2 disk that may be written to: the next point does not see it. */
  readonly path: string
}

const CHUNK_BYTES = 1024 * 1024
const DISCARD_BYTES = 1024 * 1024 * 1024
/** So much of a log lies in temporary files at once. */
const BATCH_BYTES = 64 * 1024 * 1024
const BATCH_COMMANDS = 2_000

/**
 * Makes the disk as a power cut would have left it behind the first `at` entries of a recording: a qcow2 overlay over the
 * recording's base. Needs neither root nor a loop device. Rejects with `INVALID_ARGUMENT` for a point that is not there.
 */
export async function materialise(
  recorded: RecordedWrites,
  at: number,
  path: string,
  { toolchain, mode, signal }: ReplayOptions,
): Promise<string> {
  const steps = stepsUpTo(await recorded.log(), at, mode)
  const aside = `${path}.partial`
  try {
    await makeDisk(toolchain, aside, { backing: { path: resolve(recorded.basePath), format: 'qcow2' } }, signal)
    await applySteps(toolchain, recorded.logPath, steps, aside, signal)
    await rename(aside, path)
  } finally {
    await rm(aside, { force: true })
  }
  return path
}

/**
 * Puts a disk in the place of a stopped machine's own; its restart then begins there, with variables and TPM as they are.
 * The disk given is not written to, and must stay where it is.
 */
export async function replaceDisk(
  stopped: Pick<StoppedMachine, 'directory'>,
  path: string,
  toolchain: Toolchain,
): Promise<void> {
  await recordFault(stopped.directory, 'disk replaced', { path })
  await layOver(toolchain, path, stopped.directory)
}

/**
 * Calls back with the disk of each point of a recording, in order, and waits each time. The disk is gone afterwards.
 *
 * With another mode than `exact` the power goes just before the flush of a point, while the writes that it would have
 * settled are still open.
 *
 * @returns how many points there were
 */
export async function eachWritePoint(
  recorded: RecordedWrites,
  options: ReplayOptions & { readonly points?: readonly WritePoint[] },
  use: (disk: DiskAtPoint) => Promise<void>,
): Promise<number> {
  const { toolchain, mode = { kind: 'exact' }, signal } = options
  const log = await recorded.log()
  const points = [...(options.points ?? writePoints(log))].sort((a, b) => a.at - b.at)
  const directory = await mkdtemp(join(dirname(recorded.logPath), 'point-'))
  const settledPath = join(directory, 'settled.qcow2')
  const path = join(directory, 'disk.qcow2')
  try {
    await makeDisk(toolchain, settledPath, { backing: { path: resolve(recorded.basePath), format: 'qcow2' } }, signal)
    let done = 0
    for (const point of points) {
      signal?.throwIfAborted()
      const at = mode.kind === 'exact' ? point.at : point.at - 1
      const settled = mode.kind === 'exact' ? at : settledBefore(log, at)
      await applySteps(
        toolchain,
        recorded.logPath,
        stepsUpTo(log, settled, { kind: 'exact' }, done),
        settledPath,
        signal,
      )
      done = settled
      await makeDisk(toolchain, path, { backing: { path: resolve(settledPath), format: 'qcow2' } }, signal)
      await applySteps(toolchain, recorded.logPath, openSteps(log, at, mode, settled), path, signal)
      await use({ point, path })
      await rm(path, { force: true })
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return points.length
}

function openSteps(log: WriteLog, at: number, mode: CrashMode, settled: number): WriteStep[] {
  return mode.kind === 'exact' ? [] : stepsUpTo(log, at, mode, settled)
}

/** Does to a qcow2 disk what QEMU did to the one that was recorded. */
async function applySteps(
  toolchain: Toolchain,
  logPath: string,
  steps: readonly WriteStep[],
  diskPath: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (steps.length === 0) return
  const directory = await mkdtemp(join(dirname(diskPath), 'steps-'))
  const log = await open(logPath, 'r')
  try {
    let commands: string[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      await runCommands(toolchain, diskPath, commands, signal)
      commands = []
      bytes = 0
    }
    for (const piece of pieces(steps)) {
      if (commands.length >= BATCH_COMMANDS || bytes >= BATCH_BYTES) await flush()
      commands.push(await commandFor(piece, log, join(directory, String(commands.length))))
      bytes += piece.kind === 'write' ? piece.length : 0
    }
    await flush()
  } finally {
    await log.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function* pieces(steps: readonly WriteStep[]): Generator<WriteStep> {
  for (const step of steps) {
    const most = step.kind === 'write' ? CHUNK_BYTES : DISCARD_BYTES
    for (let done = 0; done < step.length; done += most) {
      const length = Math.min(most, step.length - done)
      yield { ...step, offset: step.offset + done, dataOffset: step.dataOffset + done, length }
    }
  }
}

async function commandFor(step: WriteStep, log: FileHandle, path: string): Promise<string> {
  if (step.kind === 'discard') return `discard ${step.offset} ${step.length}`
  const bytes = Buffer.alloc(step.length)
  const { bytesRead } = await log.read(bytes, 0, step.length, step.dataOffset)
  if (bytesRead !== step.length) {
    throw new BootwrightError(
      'MALFORMED_INPUT',
      `The write log was cut while it was read: ${bytesRead} of ${step.length} bytes`,
    )
  }
  // A disk that reads as zeros there needs no file, and the overlay no room.
  if (bytes.every((byte) => byte === 0)) return `write -z ${step.offset} ${step.length}`
  await writeFile(path, bytes)
  return `write -s ${quote(path)} ${step.offset} ${step.length}`
}

async function runCommands(
  toolchain: Toolchain,
  diskPath: string,
  commands: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (commands.length === 0) return
  // biome-ignore format: an option and its value on one line
  const command = toolchain.command([
    'qemu-io',
    '-f', 'qcow2',
    '-t', 'unsafe',
    '-d', 'unmap',
    diskPath,
  ])
  const { exitCode, stdout, stderr } = await runUnchecked(command, { input: `${commands.join('\n')}\n`, signal })
  const done = stdout.match(/^(?:qemu-io> )*(?:wrote|discard) \d+\/\d+ bytes/gm)?.length ?? 0
  if (exitCode === 0 && done === commands.length) return
  const said = (stderr.trim() || stdout.trim())
    .split('\n')
    .filter((line) => !/^\d|wrote/.test(line))
    .slice(-3)
    .join('\n')
  throw new BootwrightError(
    'TOOL_FAILED',
    `qemu-io applied ${done} of ${commands.length} writes to ${diskPath} (status ${exitCode}): ${said}`,
  )
}
