import { expect, it } from 'vitest'
import { formatGuid, parseGuid } from './index.ts'

// The EFI system partition type: UEFI gives both the text and, by the structure, the bytes.
const bytes = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex')
const text = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

it('formatGuid() reverses the first three fields and leaves its input alone', () => {
  expect(formatGuid(bytes)).toBe(text)
  expect(bytes.toString('hex')).toBe('28732ac11ff8d211ba4b00a0c93ec93b')
})

it('parseGuid() is the inverse, in any case', () => {
  expect(Buffer.from(parseGuid(text.toUpperCase())).equals(bytes)).toBe(true)
})

it.for(['', text.slice(1), `${text}0`, text.replaceAll('-', ''), text.replace('c', 'g')])(
  'parseGuid() rejects "%s"',
  (wrong) => {
    expect(() => parseGuid(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  },
)
