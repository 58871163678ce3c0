import { describe, expect, it } from 'vitest'
import { directoryName, makeRunId } from './run-id.ts'

describe('makeRunId()', () => {
  it('sorts by time', () => {
    expect(makeRunId(new Date('2026-01-02T03:04:05.678Z'))).toMatch(/^20260102T030405Z-[0-9a-f]{4}$/)
  })
})

describe('directoryName()', () => {
  it('is the name of the test, as far as a file system likes it', () => {
    expect(directoryName('vm-tests/a.test.ts > says "hello" > ../twice')).toBe('vm-tests-a.test.ts-says-hello-..-twice')
    expect(directoryName('..')).toMatch(/^[0-9a-f]{8}$/)
    expect(directoryName('ünï/')).toMatch(/^n$/)
  })

  it('tells long names apart', () => {
    const [a, b] = ['a', 'b'].map((end) => directoryName(`${'long '.repeat(40)}${end}`))
    expect(a).not.toBe(b)
    expect(a?.length).toBeLessThan(100)
  })
})
