import { unverifiedPayload } from '../event-payload.ts'
import { EV_ACTION, EV_EFI_ACTION, EV_IPL } from '../event-types.ts'
import { type ActualEvent, unverifiedText } from './actual-events.ts'
import type { PredictedEvent } from './event.ts'

/** Types of which a PCR has many, and whose text says which one it is. */
const NAMED_BY_TEXT: ReadonlySet<number> = new Set([EV_IPL, EV_ACTION, EV_EFI_ACTION])

/**
 * What a record is about, to tell a thing that has changed from two different things: `variable:BootOrder`. Undefined
 * where its type alone says that, or nothing does.
 */
export function actualSubject(event: ActualEvent): string | undefined {
  if (event.type === 'word') return wordSubject(unverifiedText(event))
  return dataSubject(event.type, event.record.unverifiedData)
}

export function predictedSubject({ type, data, measured, what }: PredictedEvent): string | undefined {
  if (type === 'word') {
    return measured.kind === 'bytes' ? wordSubject(Buffer.from(measured.bytes).toString('latin1')) : undefined
  }
  const [kind, name] = [what.slice(0, what.indexOf(' ')), what.slice(what.indexOf(' ') + 1)]
  if (kind === 'image') return imageSubject(name)
  if (data !== undefined) return dataSubject(type, data)
  return kind === 'variable' ? `variable:${name}` : undefined
}

function dataSubject(type: number, data: Uint8Array): string | undefined {
  const payload = unverifiedPayload({ untrustedType: type, unverifiedData: data })
  switch (payload.kind) {
    case 'variable':
      return `variable:${payload.name}`
    case 'image':
      return payload.path === '' ? undefined : imageSubject(payload.path)
    case 'tagged':
      return `tag:${payload.id}:${payload.text ?? ''}`
    case 'text':
      return NAMED_BY_TEXT.has(type) ? `text:${payload.text}` : undefined
    default:
      return undefined
  }
}

/** Predictions have `EFI/Linux/a.efi`, records a whole device path: `PciRoot(0x0)/…/\EFI\Linux\a.efi`. */
function imageSubject(path: string): string {
  const start = path.lastIndexOf('/\\')
  return `image:${path
    .slice(start + 1)
    .replaceAll('\\', '/')
    .replace(/^\//, '')
    .toLowerCase()}`
}

/** `machine-id:…`, `file-system:/:…`: what comes first says what it is. */
function wordSubject(word: string): string {
  return `word:${word.split(':', word.startsWith('file-system:') ? 2 : 1).join(':')}`
}
