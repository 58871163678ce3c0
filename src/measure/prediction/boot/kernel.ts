import { createHash } from 'node:crypto'
import { utf16z } from '../../../formats/index.ts'
import type { Digests, HashAlgorithm } from '../../hash-algorithms.ts'
import type { Measured, PredictedEvent } from '../event.ts'
import { actionEvent, bytesMeasured, digestsMeasured, PCR, taggedEvent, unknownMeasured } from './events.ts'

/** What the kernel's EFI stub is started with. */
export interface KernelStart {
  readonly commandLine: string
  /** Parts of the initrd in order: each is padded to a multiple of 4 bytes where there are several. */
  readonly initrd:
    | { readonly kind: 'parts'; readonly parts: readonly Uint8Array[] }
    | { readonly kind: 'unknown'; readonly why: string }
}

const LOAD_OPTIONS_TAG = 0x8f3b22ed
const INITRD_TAG = 0x8f3b22ec
const INVOCATION = 'Exit Boot Services Invocation'
const FAILURE = 'Exit Boot Services Returned with Failure'
const SUCCESS = 'Exit Boot Services Returned with Success'

/** The first call fails if the memory map has changed since the kernel looked: which firmware does is not foreseeable. */
export const EXIT_BOOT_SERVICES_RETRY = 'exit-boot-services-retry'

/** What the kernel measures before it takes over, and what the firmware records of that. */
export function kernel({ commandLine, initrd }: KernelStart, banks: readonly HashAlgorithm[]): PredictedEvent[] {
  const event = { pcr: PCR.kernelInitrd, by: 'kernel' } as const
  const loadOptions: Measured =
    commandLine === ''
      ? unknownMeasured('what kernels measure of an empty command line is not known')
      : bytesMeasured(utf16z(commandLine))
  const events: PredictedEvent[] = [
    taggedEvent(
      { ...event, what: 'load options of the kernel', measured: loadOptions },
      LOAD_OPTIONS_TAG,
      Buffer.from('LOADED_IMAGE::LoadOptions\0'),
    ),
  ]
  if (initrd.kind === 'unknown' || initrd.parts.length > 0) {
    const measured =
      initrd.kind === 'unknown' ? unknownMeasured(initrd.why) : digestsMeasured(initrdDigests(initrd.parts, banks))
    events.push(taggedEvent({ ...event, what: 'initrd', measured }, INITRD_TAG, Buffer.from('Linux initrd\0')))
  }
  const action = (text: string): PredictedEvent => actionEvent(PCR.bootLoaderConfig, 'firmware', text)
  const group = EXIT_BOOT_SERVICES_RETRY
  events.push(action(INVOCATION), { ...action(FAILURE), group }, { ...action(INVOCATION), group }, action(SUCCESS))
  return events
}

/** A part alone is handed over as it is. */
function initrdDigests(parts: readonly Uint8Array[], banks: readonly HashAlgorithm[]): Digests {
  return new Map(
    banks.map((bank) => {
      const hash = createHash(bank)
      for (const part of parts) {
        hash.update(part)
        if (parts.length > 1) hash.update(new Uint8Array(-part.byteLength & 3))
      }
      return [bank, hash.digest()]
    }),
  )
}
