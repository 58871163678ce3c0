import {
  type DiskReader,
  type EfiVariable,
  parseAuthenticatedWrite,
  parseGpt,
  parseLoaderConf,
} from '../../../formats/index.ts'
import { GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE } from '../firmware/records.ts'
import { systemPartitions } from './boot-volume.ts'
import { programKind, startedFile } from './started-file.ts'

const LOADER = '\\EFI\\BOOT\\BOOTX64.EFI'
const LOADER_CONF = '\\loader\\loader.conf'
const KEYS = '\\loader\\keys\\auto'
/** In the order in which systemd-boot writes them; PK ends the setup mode. */
const FILES = [
  { name: 'db', vendorGuid: IMAGE_SECURITY_DATABASE, isNeeded: true },
  { name: 'dbx', vendorGuid: IMAGE_SECURITY_DATABASE, isNeeded: false },
  { name: 'KEK', vendorGuid: GLOBAL_VARIABLE, isNeeded: true },
  { name: 'PK', vendorGuid: GLOBAL_VARIABLE, isNeeded: true },
] as const
/** Non-volatile, for boot and runtime, written with time-based authentication. */
const ATTRIBUTES = 0x27

/**
 * The variables of a virtual machine in setup mode after systemd-boot has enrolled the keys that lie on the ESP, which is
 * what it does first: then it restarts the machine, and that is the boot whose measurements last. Undefined where it does
 * not: another boot loader, no keys, or `secure-boot-enroll` in loader.conf says no.
 */
export function selfEnrolledVariables(
  disk: DiskReader,
  variables: readonly EfiVariable[],
): readonly EfiVariable[] | undefined {
  for (const volume of systemPartitions(disk, parseGpt(disk))) {
    const loader = startedFile(volume, LOADER)
    if (loader === undefined) continue
    const { secureBootEnroll = 'if-safe' } = parseLoaderConf(volume.read(LOADER_CONF) ?? new Uint8Array())
    if (programKind(loader) !== 'systemd-boot' || !['if-safe', 'force'].includes(secureBootEnroll)) return undefined
    const enrolled: EfiVariable[] = []
    for (const { name, vendorGuid, isNeeded } of FILES) {
      const file = volume.read(`${KEYS}\\${name}.auth`)
      if (file === undefined && isNeeded) return undefined
      if (file === undefined) continue
      const { payload: data, timestamp } = parseAuthenticatedWrite(file)
      enrolled.push({
        name,
        vendorGuid,
        attributes: ATTRIBUTES,
        data,
        timestamp,
        monotonicCount: 0n,
        publicKeyIndex: 0,
      })
    }
    const isEnrolled = (one: EfiVariable): boolean =>
      enrolled.some(({ name, vendorGuid }) => one.name === name && one.vendorGuid === vendorGuid)
    return [...variables.filter((one) => !isEnrolled(one)), ...enrolled]
  }
  return undefined
}
