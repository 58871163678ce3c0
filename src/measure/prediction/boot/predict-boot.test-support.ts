import { createHash } from 'node:crypto'
import { type BootedSystem, type BootMachine, digestsOf, predictBoot } from '../../index.ts'
import type { PredictedEvent } from '../event.ts'
import { type Files, loader } from './boot-disk.test-support.ts'

export const BOOT = 'EFI/BOOT/BOOTX64.EFI'
export const u16z = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

export function digestOf({ measured }: PredictedEvent): string {
  if (measured.kind === 'unknown') return `unknown: ${measured.why}`
  if (measured.kind === 'digests') return measured.digests.get('sha256') ?? ''
  return Buffer.from(digestsOf(['sha256'], measured.bytes).get('sha256') ?? Buffer.of()).toString('hex')
}

export const predict = (machine: BootMachine, system: BootedSystem = {}) =>
  predictBoot({ machine, system, banks: ['sha256'] })

/** Names of what is measured into a PCR, without what systemd measures once it runs. */
export function names(events: readonly PredictedEvent[], pcr: number): string[] {
  return events.filter((event) => event.pcr === pcr && event.type !== 'word').map(({ what }) => what)
}

export function words(events: readonly PredictedEvent[], pcr: number): string[] {
  return events
    .filter((event) => event.pcr === pcr && event.type === 'word')
    .map(({ measured }) => (measured.kind === 'bytes' ? Buffer.from(measured.bytes).toString() : measured.kind))
}

export function find(events: readonly PredictedEvent[], what: string): PredictedEvent {
  const found = events.find((event) => event.what === what)
  if (found === undefined) throw new Error(`no "${what}" among: ${events.map((event) => event.what).join(', ')}`)
  return found
}

export const behindLoader = (files: Files, conf = 'timeout 0\n'): { esp: Files } => ({
  esp: { [BOOT]: loader(), 'loader/loader.conf': conf, ...files },
})
