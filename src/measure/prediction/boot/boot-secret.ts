import { createHash } from 'node:crypto'
import {
  EFI_VARIABLE_BOOTSERVICE_ACCESS,
  EFI_VARIABLE_NON_VOLATILE,
  EFI_VARIABLE_RUNTIME_ACCESS,
  parseOsRelease,
} from '../../../formats/index.ts'
import type { BootVolume } from './boot-volume.ts'
import { loaderVariable } from './choose-entry.ts'
import type { BootMachine } from './input.ts'

/** The secret that systemd-stub hands over to the initrd: part of PCR 9, and of no other. */
export type BootSecret =
  | { readonly kind: 'none' }
  | { readonly kind: 'known'; readonly bytes: Uint8Array }
  | { readonly kind: 'unknown'; readonly why: string }

const VARIABLE = 'LoaderBootSecret'
const MIXIN = '\\loader\\boot-secret-mixin'
const SECRET_BYTES = 32
const LABEL = 'systemd-stub derive secret label v1'

/**
 * What the secret of the coming boot will be, from the variable store and the ESP. The stub makes up what is missing
 * there, so that a machine's first boot cannot be predicted; without a random seed it makes no secret at all.
 */
export function bootSecret(machine: BootMachine, volume: BootVolume, osRelease: Uint8Array | undefined): BootSecret {
  if (machine.bootSecret !== undefined) return { kind: 'known', bytes: machine.bootSecret }
  if (!machine.offersRandomSeed) return { kind: 'none' }
  const variable = loaderVariable(machine.variables, VARIABLE)
  if (variable === undefined) {
    return { kind: 'unknown', why: `the stub makes up ${VARIABLE}, which is not in the variable store` }
  }
  const access = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS
  const isUsable =
    variable.data.byteLength === SECRET_BYTES &&
    (variable.attributes & (access | EFI_VARIABLE_RUNTIME_ACCESS)) === access
  if (!isUsable) return { kind: 'none' }
  const mixin = volume.read(MIXIN)
  if (mixin === undefined || mixin.byteLength === 0) {
    return { kind: 'unknown', why: 'the stub makes up loader/boot-secret-mixin, which is not on the boot partition' }
  }
  if (mixin.byteLength < SECRET_BYTES) return { kind: 'none' }
  return {
    kind: 'known',
    bytes: deriveBootSecret(variable.data, mixin.subarray(0, SECRET_BYTES), osIdentifier(osRelease)),
  }
}

/** One secret for each machine, disk and operating system. */
export function deriveBootSecret(loaderBootSecret: Uint8Array, mixin: Uint8Array, osId: string): Uint8Array {
  const id = Buffer.from(osId)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(id.byteLength))
  const hash = createHash('sha256').update(LABEL).update(loaderBootSecret).update(mixin)
  return hash.update(length).update(id).digest()
}

function osIdentifier(osRelease: Uint8Array | undefined): string {
  const os = parseOsRelease(osRelease ?? new Uint8Array())
  return os.get('IMAGE_ID') ?? os.get('ID') ?? 'linux'
}
