import { copyFile, cp } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { continueDisk, copyDisk, diskFiles, SYSTEM_DISK_FILE } from './disk.ts'
import type { MachineSpec } from './spec.ts'

/** Memory and devices, as QEMU writes them. The rest is named as in a machine's state directory. */
export const SNAPSHOT_RAM = 'ram'

/** What a snapshot holds besides: a variable store, the TPM's state, and the console up to then as evidence. */
const COPIED = ['variables.fd', 'console.log']
const TPM_STATE = 'tpm'
/** What was seen of its commands so far goes on in the copy. */
export const TPM_LOG = 'tpm.log'

/**
 * Fills a state directory from a snapshot: disks over the saved ones, and copies of what is written in place. From then on
 * nothing but the memory is read from the snapshot, which may be removed.
 */
export async function unpack(
  snapshot: string,
  toolchain: Toolchain,
  state: string,
  spec: MachineSpec,
  signal?: AbortSignal,
): Promise<void> {
  // All of them are over before the directory may go.
  const outcomes = await Promise.allSettled([
    ...diskFiles(spec).map((disk) => continueDisk(spec, toolchain, disk, snapshot, state, signal)),
    ...copyRest(snapshot, state, spec),
  ])
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue
    signal?.throwIfAborted()
    throw new BootwrightError('SNAPSHOT_FAILED', `Cannot use the snapshot ${snapshot}: ${outcome.reason.message}`, {
      cause: outcome.reason,
      hint: 'Remove it; the next start makes it again.',
    })
  }
}

/** Copies what a machine, which stands still, has written: with its memory, a snapshot of it. */
export function copyState(state: string, snapshot: string, spec: MachineSpec): Promise<void> {
  return copyStateOver(state, snapshot, spec, () => copyDisk(SYSTEM_DISK_FILE, state, snapshot))
}

/** The same with another disk in place of that with the system. */
export async function copyStateOver(
  state: string,
  copy: string,
  spec: MachineSpec,
  systemDisk: () => Promise<void>,
): Promise<void> {
  const others = diskFiles(spec).filter((disk) => disk !== SYSTEM_DISK_FILE)
  const outcomes = await Promise.allSettled([
    systemDisk(),
    ...others.map((disk) => copyDisk(disk, state, copy)),
    ...copyRest(state, copy, spec),
  ])
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue
    throw new BootwrightError(
      'SNAPSHOT_FAILED',
      `Cannot copy the state of machine ${state}: ${outcome.reason.message}`,
      { cause: outcome.reason },
    )
  }
}

function copyRest(from: string, to: string, spec: MachineSpec): Promise<void>[] {
  return [
    ...(spec.tpm === 'absent'
      ? []
      : [
          cp(join(from, TPM_STATE), join(to, TPM_STATE), { recursive: true }),
          copyFile(join(from, TPM_LOG), join(to, TPM_LOG)),
        ]),
    ...COPIED.map((name) => copyFile(join(from, name), join(to, name))),
  ]
}
