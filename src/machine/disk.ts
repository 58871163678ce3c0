import { resolve } from 'node:path'
import { run } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** Makes a disk that takes the writes of one machine, over another that is never written to. */
export async function makeOverlay(
  toolchain: Toolchain,
  { backing, format, path, sizeMiB }: { backing: string; format: 'raw' | 'qcow2'; path: string; sizeMiB?: number },
  signal?: AbortSignal,
): Promise<void> {
  // biome-ignore format: an option and its value on one line
  const command = toolchain.command([
    'qemu-img', 'create', '-q',
    '-f', 'qcow2',
    '-F', format,
    '-b', resolve(backing),
    path,
    ...(sizeMiB === undefined ? [] : [`${sizeMiB}M`]),
  ])
  await run(command, { signal })
}
