import { copyFile, cp, link } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { makeOverlay } from './disk.ts'

/** Memory and devices, as QEMU writes them. The rest is named as in a machine's state directory. */
export const SNAPSHOT_RAM = 'ram'

/** What a snapshot holds besides: a variable store, the TPM's state, and the console up to then as evidence. */
const COPIED = ['variables.fd', 'console.log']

/** The saved disk, in the state directory of who goes on with it. */
const BASE_DISK = 'base.qcow2'

/**
 * Fills a state directory from a snapshot: a disk over the saved one, and copies of what is written in place. From then on
 * nothing but the memory is read from the snapshot, which may be removed.
 */
export async function unpack(
  snapshot: string,
  toolchain: Toolchain,
  state: string,
  hasTpm: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const saved = join(snapshot, 'disk.qcow2')
  const base = join(state, BASE_DISK)
  const disk = { backing: base, format: 'qcow2', path: join(state, 'disk.qcow2') } as const
  // All of them are over before the directory may go.
  const outcomes = await Promise.allSettled([
    // A second name for the same file where both are in one file system; it is never written to.
    link(saved, base)
      .catch(() => copyFile(saved, base))
      .then(() => makeOverlay(toolchain, disk, signal)),
    hasTpm ? cp(join(snapshot, 'tpm'), join(state, 'tpm'), { recursive: true }) : undefined,
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
