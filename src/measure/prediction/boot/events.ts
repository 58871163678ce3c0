import { utf16z } from '../../../formats/index.ts'
import { authenticodeDigests } from '../../authenticode.ts'
import { EV_EFI_ACTION, EV_EVENT_TAG, EV_IPL } from '../../event-types.ts'
import type { Digests, HashAlgorithm } from '../../hash-algorithms.ts'
import type { Measured, Measurer, PredictedEvent } from '../event.ts'
import type { LoadedImage } from './started-file.ts'

/** PCRs by what systemd and the firmware use them for (UAPI.8 Linux TPM PCR Registry). */
export const PCR = {
  platformConfig: 1,
  externalCode: 2,
  bootLoaderCode: 4,
  bootLoaderConfig: 5,
  kernelInitrd: 9,
  kernelBoot: 11,
  kernelConfig: 12,
  sysexts: 13,
  systemIdentity: 15,
} as const

/** PE subsystems (Microsoft PE format), and how the firmware records images of each. */
const IMAGE_RECORDS: ReadonlyMap<number, { readonly pcr: number; readonly type: number }> = new Map([
  [10, { pcr: PCR.bootLoaderCode, type: 0x80000003 }],
  [11, { pcr: PCR.externalCode, type: 0x80000004 }],
  [12, { pcr: PCR.externalCode, type: 0x80000005 }],
])

export const bytesMeasured = (bytes: Uint8Array): Measured => ({ kind: 'bytes', bytes })

export const unknownMeasured = (why: string): Measured => ({ kind: 'unknown', why })

export function digestsMeasured(digests: Digests): Measured {
  return {
    kind: 'digests',
    digests: new Map([...digests].map(([bank, digest]) => [bank, Buffer.from(digest).toString('hex')])),
  }
}

/** The record of an image that the firmware loads; none of one that it does not measure. */
export function imageEvents(file: LoadedImage, banks: readonly HashAlgorithm[], by: Measurer): PredictedEvent[] {
  const record = IMAGE_RECORDS.get(file.pe.subsystem)
  if (record === undefined) return []
  const measured = digestsMeasured(authenticodeDigests(file.pe, file.bytes, banks))
  return [{ ...record, by, what: `image ${file.name}`, measured }]
}

/** A TCG_PCClientTaggedEvent whose data is a description. */
export function taggedEvent(
  event: Pick<PredictedEvent, 'pcr' | 'by' | 'what' | 'measured'>,
  tag: number,
  description: Uint8Array,
): PredictedEvent {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(tag, 0)
  head.writeUInt32LE(description.byteLength, 4)
  return { ...event, type: EV_EVENT_TAG, data: Buffer.concat([head, description]) }
}

export function iplEvent(
  event: Pick<PredictedEvent, 'pcr' | 'by' | 'what' | 'measured'>,
  description: string,
): PredictedEvent {
  return { ...event, type: EV_IPL, data: utf16z(description) }
}

/** A command line is measured as UTF-16 with its NUL, and is its own description. */
export function commandLineEvent(by: Measurer, what: string, commandLine: string): PredictedEvent {
  const measured = bytesMeasured(utf16z(commandLine))
  return iplEvent({ pcr: PCR.kernelConfig, by, what, measured }, commandLine)
}

export function actionEvent(pcr: number, by: Measurer, text: string): PredictedEvent {
  const bytes = Buffer.from(text)
  return { pcr, type: EV_EFI_ACTION, by, what: text, measured: bytesMeasured(bytes), data: bytes }
}

/** What systemd measures once it runs: text without a NUL. */
export function wordEvent(pcr: number, word: string, what = word): PredictedEvent {
  return { pcr, type: 'word', by: 'system', what, measured: bytesMeasured(Buffer.from(word)) }
}
