import type { RunEvent } from '../../sysupdate/index.ts'
import { bytesText } from './format-values.ts'

const EVERY_MS = 100
/** Of the rate: what was a while ago does not say how it goes on. */
const WINDOW_MS = 3000

type Progress = Extract<RunEvent, { kind: 'progress' }>

/**
 * The last line of a terminal while something is transferred: which transfer it is, bytes, rate, and the time that is left.
 *
 * @param write to the terminal, as it is
 * @param now in milliseconds
 */
export function progressLine(write: (text: string) => void, now: () => number): (event: RunEvent) => void {
  let isShown = false
  let lastMs = Number.NEGATIVE_INFINITY
  let samples: { readonly at: number; readonly bytes: number }[] = []
  let index = -1
  return (event) => {
    if (event.kind !== 'progress') {
      // Whatever is said now has the line for itself.
      if (isShown) write('\r\x1b[K')
      isShown = false
      return
    }
    const at = now()
    if (event.index !== index) {
      index = event.index
      samples = []
      lastMs = Number.NEGATIVE_INFINITY
    }
    if (at - lastMs < EVERY_MS) return
    lastMs = at
    samples = [...samples.filter((sample) => at - sample.at <= WINDOW_MS), { at, bytes: event.receivedBytes }]
    write(`\r\x1b[K${text(event, rateOf(samples))}`)
    isShown = true
  }
}

function rateOf(samples: readonly { readonly at: number; readonly bytes: number }[]): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)]
  if (first === undefined || last === undefined || last.at === first.at) return undefined
  return ((last.bytes - first.bytes) * 1000) / (last.at - first.at)
}

function text({ index, count, receivedBytes, totalBytes }: Progress, rate: number | undefined): string {
  const shown = (bytes: number): string => bytesText(BigInt(Math.round(bytes)))
  const parts = [`${index + 1}/${count}`]
  if (totalBytes === undefined || totalBytes === 0) parts.push(shown(receivedBytes))
  else {
    parts.push(`${Math.floor((100 * receivedBytes) / totalBytes)}%`, `${shown(receivedBytes)} of ${shown(totalBytes)}`)
  }
  if (rate !== undefined) parts.push(`${shown(rate)}/s`)
  if (rate !== undefined && rate > 0 && totalBytes !== undefined) {
    parts.push(`${Math.ceil((totalBytes - receivedBytes) / rate)} s left`)
  }
  return parts.join('  ')
}
