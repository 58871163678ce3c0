import { access, constants, stat } from 'node:fs/promises'
import { BootwrightError } from '../system/index.ts'
import type { ExtraDisk, MachineSpec } from './spec.ts'

const MIB = 1024 * 1024

/**
 * Refuses what QEMU would refuse later, or take in silence for something else: `IMAGE_INCOMPLETE` or `TOOL_MISSING` for
 * files that cannot be read, `INVALID_ARGUMENT` for the rest.
 */
export async function checkSpec(spec: MachineSpec): Promise<void> {
  const { image, firmware, diskMiB, disks = [] } = spec
  const size = await sizeOf(image.diskPath).catch((cause: Error) => {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Cannot read the disk of image "${image.name}": ${cause.message}`, {
      cause,
      hint: 'Build the image again.',
    })
  })
  checkSize(diskMiB, size, `a disk for image "${image.name}"`)
  for (const disk of disks) await checkDisk(disk)
  requireDifferent(
    'names of disks',
    disks.map(({ name }) => name),
  )
  requireDifferent(
    'addresses of network cards',
    [spec.macAddress, ...(spec.furtherMacAddresses ?? [])].map((address) => address.toLowerCase()),
  )
  for (const path of [firmware.codePath, firmware.variablesPath]) {
    await access(path, constants.R_OK).catch((cause: Error) => {
      throw new BootwrightError('TOOL_MISSING', `Cannot read firmware "${firmware.name}": ${cause.message}`, {
        cause,
        hint: 'The package ovmf brings it: run `./bootwright setup`, or install it for --toolchain host.',
      })
    })
  }
}

async function checkDisk({ name, sizeMiB, contentPath }: ExtraDisk): Promise<void> {
  if (!/^[A-Za-z0-9-]{1,20}$/.test(name)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a name for a disk, found ${JSON.stringify(name)}`, {
      hint: 'It is the serial number that the guest sees: at most 20 letters, digits and hyphens.',
    })
  }
  if (contentPath === undefined) {
    if (sizeMiB !== undefined && Number.isSafeInteger(sizeMiB) && sizeMiB > 0) return
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a size in MiB for disk "${name}", found ${sizeMiB}`)
  }
  const size = await sizeOf(contentPath).catch((cause: Error) => {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot read the content of disk "${name}": ${cause.message}`, {
      cause,
    })
  })
  checkSize(sizeMiB, size, `disk "${name}"`)
}

/** A disk that is smaller than what is on it would be cut off. */
function checkSize(sizeMiB: number | undefined, contentBytes: number, what: string): void {
  if (sizeMiB === undefined || (Number.isSafeInteger(sizeMiB) && sizeMiB * MIB >= contentBytes)) return
  const least = Math.ceil(contentBytes / MIB)
  throw new BootwrightError('INVALID_ARGUMENT', `Expected at least ${least} MiB for ${what}, found ${sizeMiB}`)
}

function requireDifferent(what: string, values: readonly string[]): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  if (twice !== undefined)
    throw new BootwrightError('INVALID_ARGUMENT', `Expected different ${what}, found ${twice} twice`)
}

async function sizeOf(path: string): Promise<number> {
  await access(path, constants.R_OK)
  return (await stat(path)).size
}
