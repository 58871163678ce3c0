import { createHash } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type MachineContext, type MachineSpec, machine, type RunningMachine } from '../machine/index.ts'
import { type Calibration, calibrationFrom, parseEventLog, type TcgEventLog } from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Cache } from '../toolchain/index.ts'

const MIB = 1024 * 1024
/** Raised when what is kept changes. */
const LAYOUT = 1
/** The first record of a log: EV_NO_ACTION of PCR 0, 20 zeros, 45 bytes for four banks and more or less for others. */
const SIGNATURE = Buffer.from('Spec ID Event03\0', 'latin1')
const RECORD_HEADER_BYTES = 32
/** OVMF's log area (PcdTcgLogAreaMinLen). */
const LOG_BYTES = 64 * 1024
/** Firmware keeps the log near the end of the memory below 4 GiB. */
const WINDOW_MIB = 64
const DISK = 'empty.raw'
const LOOK_AGAIN_MS = 100
const PATIENCE_MS = 180_000

/**
 * What the firmware measures of a machine of this shape that cannot be computed: ACPI tables that QEMU fills while the
 * firmware sets up PCI, and in builds with SMM a volume that has been written to before it is hashed.
 *
 * Found out by a run of the firmware alone, on an empty disk, once for each shape: the measurements of the machine that is
 * to be judged are never used. Takes a few seconds; remembered in the cache.
 */
export async function calibrate(
  spec: MachineSpec,
  context: MachineContext,
  cache: Cache,
  signal?: AbortSignal,
): Promise<Calibration> {
  if (spec.tpm === 'absent') return { acpi: {}, optionRoms: [], bootVariables: [] }
  const fact = `calibration-${await shapeOf(spec, context)}`
  const known = (await cache.recall(fact)) as Calibration | undefined
  if (known !== undefined) return known
  const calibration = calibrationFrom(await firmwareLog(spec, context, cache, signal))
  await cache.remember(fact, calibration)
  return calibration
}

/** Everything that moves these measurements: not the content of the disk, nor strings and identifiers. */
async function shapeOf(spec: MachineSpec, { toolchain }: MachineContext): Promise<string> {
  const digest = async (path: string) =>
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
  const { firmware, tpm, accelerator, memoryMiB, cores, channel, screen, disks = [], furtherMacAddresses = [] } = spec
  const shape = {
    layout: LAYOUT,
    toolchain: toolchain.identity,
    firmware: [await digest(firmware.codePath), await digest(firmware.variablesPath), firmware.needsSmm],
    banks: tpm === 'absent' ? [] : tpm.banks,
    machine: { accelerator, memoryMiB, cores, channel, screen: screen === true },
    devices: [disks.length, furtherMacAddresses.length],
    // Parts of a table that only exists with them.
    smbios: Object.keys(spec.smbios).sort(),
  }
  return createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 32)
}

/** The event log of the firmware, which finds nothing to start, out of the memory of its machine. */
async function firmwareLog(
  spec: MachineSpec,
  context: MachineContext,
  cache: Cache,
  signal: AbortSignal | undefined,
): Promise<TcgEventLog> {
  const { diskMiB: _, ...rest } = spec
  const bare: MachineSpec = {
    ...rest,
    image: { name: 'calibration', version: '1', diskPath: await emptyDisk(cache, signal) },
    credentials: {},
    kernelCommandLineExtra: [],
  }
  await mkdir(context.stateParent, { recursive: true })
  await using running = await machine(bare, { ...context, name: `${context.name}-calibration` }).start({ signal })
  await refused(running, signal)
  return parseEventLog(await findLog(running, spec.memoryMiB))
}

/** The same for every run, so that nothing is left of one that is killed. */
async function emptyDisk(cache: Cache, signal: AbortSignal | undefined): Promise<string> {
  const make = async (directory: string): Promise<void> => {
    await using disk = await open(join(directory, DISK), 'w')
    await disk.truncate(MIB)
  }
  return join(await cache.entry('calibration', 'empty', make, { signal }), DISK)
}

/** Resolves when the firmware has given up: then it has measured all it has. */
async function refused(running: RunningMachine, signal: AbortSignal | undefined): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_AGAIN_MS) {
    const { failure } = running
    if (failure?.code === 'BOOT_REFUSED') return
    if (failure !== undefined) throw failure
    await sleep(LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal })
  }
  throw await running.explain(
    new BootwrightError('TIMED_OUT', `The firmware did not come to an end within ${PATIENCE_MS / 1000} s`),
  )
}

async function findLog(running: RunningMachine, memoryMiB: number): Promise<Buffer> {
  // It is cleared away with the machine.
  const filename = join(running.directory, 'memory')
  // On q35 at most 2 GiB of the memory lie below 4 GiB.
  const end = Math.min(memoryMiB, 2048)
  for (let to = end; to > 0; to -= WINDOW_MIB) {
    const from = Math.max(0, to - WINDOW_MIB)
    // A log may lie across the edge of two windows.
    const size = Math.min(end - from, to - from + 1) * MIB
    await running.qmp.execute('pmemsave', { val: from * MIB, size, filename })
    const bytes = await readFile(filename)
    for (let at = bytes.indexOf(SIGNATURE); at >= 0; at = bytes.indexOf(SIGNATURE, at + 1)) {
      const start = at - RECORD_HEADER_BYTES
      // The constant itself is in the firmware's code as well.
      if (start < 0 || !isFirstRecord(bytes.subarray(start, at))) continue
      return Buffer.from(bytes.subarray(start, start + LOG_BYTES))
    }
  }
  throw new BootwrightError('TOOL_FAILED', 'The firmware of the calibration run has left no event log in its memory', {
    hint: 'Is the firmware built with TPM support?',
  })
}

function isFirstRecord(header: Buffer): boolean {
  const isNoAction = header.readUInt32LE(0) === 0 && header.readUInt32LE(4) === 3
  return isNoAction && header.subarray(8, 28).every((byte) => byte === 0)
}
