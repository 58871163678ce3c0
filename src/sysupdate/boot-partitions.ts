import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { resolveBelow } from './root-path.ts'
import { readMounts, SYSTEM_PLACES, type SystemPlaces } from './system-disk.ts'

/** Types of partitions (UAPI.2). */
export const EFI_SYSTEM = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
export const EXTENDED_BOOT = 'bc13c2ff-59e6-4262-a352-b275fd6f7172'

/** Where the EFI and the boot partition are mounted below a root, in the order of UAPI.1; what is not there is absent. */
export function findBootPartitions(
  root: string,
  places: SystemPlaces = SYSTEM_PLACES,
): { readonly esp?: string; readonly xbootldr?: string } {
  const esp = ['/efi', '/boot', '/boot/efi'].map((path) => mountOf(root, path, EFI_SYSTEM, places)).find(Boolean)
  const xbootldr = mountOf(root, '/boot', EXTENDED_BOOT, places)
  return { ...(esp === undefined ? {} : { esp }), ...(xbootldr === undefined ? {} : { xbootldr }) }
}

/** The directory, if a partition of this type is mounted there. */
function mountOf(root: string, path: string, type: string, places: SystemPlaces): string | undefined {
  let directory: string
  try {
    directory = resolveBelow(root, path, { links: 'prohibited' })
    // Where it is mounted only when somebody looks, somebody looks now.
    readdirSync(directory)
  } catch {
    return undefined
  }
  const mount = readMounts(places)
    .filter((one) => one.path === directory && one.type !== 'autofs')
    .at(-1)
  return mount !== undefined && partitionType(mount.device, places) === type ? directory : undefined
}

/** What udev knows of it (ID_PART_ENTRY_TYPE): only root could look itself. */
function partitionType(device: string, { run }: SystemPlaces): string | undefined {
  try {
    const facts = readFileSync(join(run, 'udev/data', `b${device}`), 'utf8')
    return /^E:ID_PART_ENTRY_TYPE=(.+)$/m.exec(facts)?.[1]
  } catch {
    return undefined
  }
}
