import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lookUpHwdb } from '../../formats/index.ts'

/** In the order in which systemd looks for its hardware database. */
const HWDB_PATHS = [
  'etc/systemd/hwdb/hwdb.bin',
  'etc/udev/hwdb.bin',
  'usr/lib/systemd/hwdb/hwdb.bin',
  'usr/lib/udev/hwdb.bin',
]

/**
 * What the hardware database says of this machine by its SMBIOS: before udev has looked, and where its rules do not know of chassis tags.
 * Empty where there is no database or nothing to look up; rejects with `MALFORMED_INPUT` a database that is none.
 *
 * @param root where `/sys`, `/etc` and `/usr` are
 */
export function hardwareProperties(root: string): ReadonlyMap<string, string> {
  const modalias = dmiModalias(root)
  const path = HWDB_PATHS.map((path) => join(root, path)).find((path) => existsSync(path))
  return modalias === undefined || path === undefined ? new Map() : lookUpHwdb(readFileSync(path), modalias)
}

/** The kernel's own, and the tag of the chassis, which it leaves out. */
function dmiModalias(root: string): string | undefined {
  const read = (name: string): string | undefined => {
    try {
      return readFileSync(join(root, 'sys/devices/virtual/dmi/id', name), 'utf8').replace(/\n$/, '')
    } catch {
      return undefined
    }
  }
  const [modalias, tag] = [read('modalias'), read('chassis_asset_tag')]
  const hasTag = tag !== undefined && tag !== '' && !/\p{Cc}/u.test(tag)
  return modalias === undefined ? undefined : `${modalias}${hasTag ? `cat${tag}:` : ''}`
}
