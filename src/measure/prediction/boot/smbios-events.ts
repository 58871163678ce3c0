import { type SmbiosStructure, utf16z } from '../../../formats/index.ts'
import type { Measurer, PredictedEvent } from '../event.ts'
import { bytesMeasured, PCR, taggedEvent } from './events.ts'

/** Structure types that systemd measures, and the tag of each (systemd src/fundamental/tpm2-pcr.h). */
const TAGS: ReadonlyMap<number, number> = new Map([
  [1, 0xd5cb7cbc],
  [2, 0xe0d47bc8],
  [11, 0xc0b3bd23],
])
const SYSTEM_INFORMATION = 1
const WAKE_UP_TYPE = 24

/** Whole structures with their strings, in table order. Of type 1 the reason for waking up is blanked: it is no identity. */
export function smbiosEvents(structures: readonly SmbiosStructure[], by: Measurer): PredictedEvent[] {
  return structures.flatMap((structure) => {
    const tag = TAGS.get(structure.type)
    if (tag === undefined) return []
    const bytes = Uint8Array.from(structure.bytes)
    if (structure.type === SYSTEM_INFORMATION && structure.formatted.byteLength > WAKE_UP_TYPE) bytes[WAKE_UP_TYPE] = 0
    const description = `smbios:type${structure.type}`
    const event = { pcr: PCR.platformConfig, by, what: description, measured: bytesMeasured(bytes) }
    return [taggedEvent(event, tag, utf16z(description))]
  })
}

/** What follows a prefix in the first string of type 11 that has it, or in all of them. */
export function oemStrings(structures: readonly SmbiosStructure[], prefix: string): string[] {
  return structures
    .filter(({ type }) => type === 11)
    .flatMap(({ strings }) => strings)
    .filter((text) => text.startsWith(prefix))
    .map((text) => text.slice(prefix.length))
}
