import type { RunEvent } from '../../sysupdate/index.ts'
import { bytesText } from './format-values.ts'
import { TransferRate } from './transfer-rate.ts'

const EVERY_MS = 100

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
  let rate = new TransferRate()
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
      rate = new TransferRate()
      lastMs = Number.NEGATIVE_INFINITY
    }
    if (at - lastMs < EVERY_MS) return
    lastMs = at
    rate.add(at, event.receivedBytes)
    write(`\r\x1b[K${text(event, rate.bytesPerSecond)}`)
    isShown = true
  }
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
