import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Where the kernel and udev say what there is. */
export interface SystemPlaces {
  readonly mountInfo: string
  readonly sys: string
  readonly run: string
}

export const SYSTEM_PLACES: SystemPlaces = { mountInfo: '/proc/self/mountinfo', sys: '/sys', run: '/run' }

/** Major and minor number of a block device, as sysfs has them: `254:1`. */
export type DeviceNumber = string

/**
 * The disk that the running system is on, as the path of a device: of /usr, or of the root file system where that is no mount of its
 * own; through extensions that are merged over it, and through dm-verity and its like. Undefined where it is on no disk.
 */
export function systemDisk(places: SystemPlaces = SYSTEM_PLACES): string | undefined {
  const volatile = volatileRoot(places)
  if (volatile !== undefined) return volatile
  const mounts = readMounts(places)
  // What was mounted last is on top: an overlay has no device, and what lies below it has.
  for (const at of ['/usr', '/']) {
    for (const mount of mounts.filter(({ path }) => path === at).reverse()) {
      const disk = diskOfMount(mount, places)
      if (disk !== undefined) return disk
    }
  }
  return undefined
}

/** The disk of the file system that a directory is on. */
export function diskOfDirectory(path: string, places: SystemPlaces = SYSTEM_PLACES): string | undefined {
  const below = readMounts(places).filter((mount) => `${path}/`.startsWith(mount.path.replace(/\/*$/, '/')))
  const mount = below.toSorted((a, b) => a.path.length - b.path.length).at(-1)
  return mount === undefined ? undefined : diskOfMount(mount, places)
}

export interface Mount {
  readonly device: DeviceNumber
  readonly path: string
  readonly type: string
  readonly source: string
}

/** Lines of mountinfo (proc_pid_mountinfo(5)). */
export function readMounts({ mountInfo }: SystemPlaces): readonly Mount[] {
  return readFileSync(mountInfo, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const words = line.split(' ')
      const end = words.indexOf('-')
      const [device, path, type, source] = [words[2], words[4], words[end + 1], words[end + 2]]
      if (device === undefined || path === undefined || type === undefined || source === undefined) return []
      return [{ device, path: unescaped(path), type, source: unescaped(source) }]
    })
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

function diskOfMount({ device, source }: Mount, places: SystemPlaces): string | undefined {
  if (!device.startsWith('0:')) return wholeDisk(device, places)
  // Of btrfs, and its like, that have devices of their own: the source is one of the real ones.
  const facts = source.startsWith('/dev/') ? statSync(source, { throwIfNoEntry: false }) : undefined
  return facts?.isBlockDevice() === true ? wholeDisk(deviceNumber(facts.rdev), places) : undefined
}

/** As sysfs writes it what stat(2) gives. */
export function deviceNumber(rdev: number): DeviceNumber {
  const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)]
  return `${major}:${minor}`
}

/** The disk that a device is, is a partition of, or is made from. */
function wholeDisk(device: DeviceNumber, { sys }: SystemPlaces): string | undefined {
  let place = resolved(join(sys, 'dev/block', device))
  for (let depth = 0; place !== undefined && depth < MAX_DEPTH; depth++) {
    const lower = namesIn(join(place, 'slaves'))[0]
    if (lower !== undefined) place = resolved(join(place, 'slaves', lower))
    else if (namesIn(place).includes('partition')) place = dirname(place)
    else return `/dev/${basename(place).replaceAll('!', '/')}`
  }
  return undefined
}

const MAX_DEPTH = 16

/** systemd-fstab-generator(8) says where /usr comes from when the root is in memory. */
function volatileRoot(places: SystemPlaces): string | undefined {
  try {
    const device = readlinkSync(join(places.run, 'systemd/volatile-root'))
    const facts = statSync(device)
    return facts.isBlockDevice() ? wholeDisk(deviceNumber(facts.rdev), places) : undefined
  } catch {
    return undefined
  }
}

function resolved(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
