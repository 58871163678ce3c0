import { describe, expect, it } from 'vitest'
import { BootwrightError } from '../system/index.ts'
import { argumentText, CallLog } from './call-log.ts'

const timeless = (lines: readonly string[]) => lines.map((line) => line.replace(/\d+ ms/, 'N ms'))

describe('CallLog', () => {
  it('tells what was tried, in order, with its outcome', async () => {
    const log = new CallLog()
    await log.record('run', [['echo', 'a b'], { signal: AbortSignal.abort() }], async () => 'fine')
    const failing = log.record('unitActive', ['x.service'], async () => {
      throw new BootwrightError('GUEST_UNIT_FAILED', 'it failed\nat length')
    })
    await expect(failing).rejects.toThrow('it failed')
    log.begin('reboot')
    expect(timeless(log.lines())).toMatchInlineSnapshot(`
      [
        "    N ms  run         echo 'a b'  ok",
        "    N ms  unitActive  x.service  failed: GUEST_UNIT_FAILED, it failed",
        "    … ms  reboot      running",
      ]
    `)
  })

  it('shows the last calls and says how many went before, and keeps all for the evidence', () => {
    const log = new CallLog()
    for (let call = 0; call < 30; call++) log.begin('run', [String(call)])()
    expect(log.lines()).toHaveLength(21)
    expect(log.lines()[0]).toBe('… 10 before')
    expect(log.lines('all')).toHaveLength(30)
  })

  it('does not grow without end', () => {
    const log = new CallLog()
    for (let call = 0; call < 1_500; call++) log.begin('run')()
    expect(log.lines('all')).toHaveLength(1_001)
    expect(log.lines('all')[0]).toBe('… 500 before')
  })
})

describe('argumentText()', () => {
  it.for([
    [['sh', '-c', 'echo $x'], "sh -c 'echo $x'"],
    [Buffer.alloc(7), '<7 bytes>'],
    ['two\n  lines', 'two⏎lines'],
    [{ signal: AbortSignal.abort() }, ''],
    [{ bank: 'sha256', input: Buffer.alloc(2) }, '{ bank: sha256, input: <2 bytes> }'],
    ['x'.repeat(200), `${'x'.repeat(90)}…`],
  ] as const)('writes %j in one line', ([value, text]) => {
    expect(argumentText(value)).toBe(text)
  })
})
