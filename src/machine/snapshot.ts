import { cp, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { makeOverlay } from './disk.ts'

/** Memory and devices, as QEMU writes them. The rest is named as in a machine's state directory. */
export const SNAPSHOT_RAM = 'ram'

/** What a snapshot holds besides: a variable store, the TPM's state, and the console up to then as evidence. */
const COPIED = ['variables.fd', 'console.log']

/** Fills a state directory from a snapshot: a disk over the saved one, and copies of what is written in place. */
export async function unpack(
  snapshot: string,
  toolchain: Toolchain,
  state: string,
  signal?: AbortSignal,
): Promise<void> {
  const disk = { backing: join(snapshot, 'disk.qcow2'), format: 'qcow2', path: join(state, 'disk.qcow2') } as const
  // All of them are over before the directory may go.
  const outcomes = await Promise.allSettled([
    makeOverlay(toolchain, disk, signal),
    cp(join(snapshot, 'tpm'), join(state, 'tpm'), { recursive: true }),
    ...COPIED.map((name) => copyFile(join(snapshot, name), join(state, name))),
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
