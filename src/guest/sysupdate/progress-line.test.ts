import { expect, it } from 'vitest'
import type { RunEvent } from '../../sysupdate/index.ts'
import { progressLine } from './progress-line.ts'

const MIB = 1024 * 1024
let now = 0
const progress = (receivedBytes: number, totalBytes?: number, index = 0): RunEvent => ({
  kind: 'progress',
  version: '2',
  transfer: 'x',
  index,
  count: 3,
  receivedBytes,
  totalBytes,
})

it('shows bytes, rate and what is left, at most ten times a second, and makes room for what is said', () => {
  const written: string[] = []
  const tell = progressLine(
    (text) => void written.push(text.replace('\r\x1b[K', '<')),
    () => now,
  )
  tell({ kind: 'info', text: 'nothing to clear yet' })
  for (let step = 0; step <= 20; step++) {
    now = step * 50
    tell(progress(step * MIB, 40 * MIB))
  }
  expect(written).toHaveLength(11)
  expect(written[0]).toBe('<1/3  0%  0B of 40M')
  expect(written[10]).toBe('<1/3  50%  20M of 40M  20M/s  1 s left')
  written.length = 0
  tell({ kind: 'info', text: 'done' })
  tell({ kind: 'info', text: 'more' })
  expect(written).toEqual(['<'])
  written.length = 0
  tell(progress(5, undefined, 1))
  expect(written).toEqual(['<2/3  5B'])
})
