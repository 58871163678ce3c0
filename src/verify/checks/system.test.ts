import { describe, expect, it } from 'vitest'
import { asking } from '../guest.test-support.ts'
import { failedUnits } from './failed-units.ts'
import { journalErrors } from './journal-errors.ts'
import { systemState } from './system-state.ts'

describe('system-state', () => {
  it('passes only for a system that runs', async () => {
    expect(await asking(systemState, {})).toMatchObject({ status: 'passed' })
    for (const state of ['degraded', 'maintenance', 'starting', '']) {
      expect(await asking(systemState, {}, { systemState: state })).toMatchObject({
        status: 'failed',
        expected: 'running',
        found: state,
      })
    }
  })
})

const FAILED_UNITS = 'systemctl list-units --all --failed --output=json'
const ACTIVE_UNITS = 'systemctl list-units --state=active --output=json'

describe('failed-units', () => {
  it('passes with the number of those that are active', async () => {
    const commands = { [FAILED_UNITS]: '[]\n', [ACTIVE_UNITS]: '[{"unit":"a"},{"unit":"b"}]\n' }
    expect(await asking(failedUnits, { commands })).toEqual({
      status: 'passed',
      evidence: ['2 active units, none failed'],
    })
  })

  it('names those that failed, with what they said', async () => {
    const commands = {
      [FAILED_UNITS]: '[{"unit":"a.service","description":"A"},{"unit":"b.mount","description":"B"}]',
      'systemctl status --no-pager --lines=5 -- a.service': [3, 'x a.service - A\n  exit status 1\n'] as const,
      'systemctl status --no-pager --lines=5 -- b.mount': [3, 'x b.mount - B\n'] as const,
    }
    expect(await asking(failedUnits, { commands })).toEqual({
      status: 'failed',
      expected: 'no failed unit',
      found: 'a.service, b.mount',
      evidence: ['a.service (A)', 'x a.service - A\n  exit status 1', 'b.mount (B)', 'x b.mount - B'],
    })
  })

  it.for(['', 'Failed to connect to bus', '[{'])('rejects %j for an answer: that is no fault of ours', async (text) => {
    await expect(asking(failedUnits, { commands: { [FAILED_UNITS]: text } })).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
    })
  })

  it('rejects where there is no systemctl', async () => {
    await expect(asking(failedUnits, {})).rejects.toMatchObject({ code: 'GUEST_COMMAND_FAILED' })
  })
})

const ERRORS = 'journalctl --boot --priority=err --output=json --no-pager'
const COUNT = 'sh -c journalctl --boot --no-pager --output=cat | wc -l'

describe('journal-errors', () => {
  it('passes with the number of lines', async () => {
    expect(await asking(journalErrors, { commands: { [ERRORS]: '', [COUNT]: '512\n' } })).toMatchObject({
      status: 'passed',
      evidence: [expect.stringContaining('512 lines')],
    })
  })

  it('fails on an empty journal: then it would have no errors either', async () => {
    expect(await asking(journalErrors, { commands: { [ERRORS]: '', [COUNT]: '0\n' } })).toMatchObject({
      status: 'failed',
      found: 'an empty journal',
    })
  })

  it('shows messages of every shape', async () => {
    const entries = [
      { SYSLOG_IDENTIFIER: 'kernel', MESSAGE: 'it broke' },
      { SYSLOG_IDENTIFIER: 'app', MESSAGE: [...Buffer.from('b\xfcytes', 'utf8')] },
      { MESSAGE: null },
      {},
    ]
    const commands = { [ERRORS]: entries.map((entry) => `${JSON.stringify(entry)}\n`).join('') }
    expect(await asking(journalErrors, { commands })).toEqual({
      status: 'failed',
      expected: 'no entry of priority err or above',
      found: '4',
      evidence: ['kernel: it broke', 'app: b\xfcytes', '?: (long message)', '?: (long message)'],
    })
  })

  it('counts all and shows some', async () => {
    const commands = { [ERRORS]: '{"SYSLOG_IDENTIFIER":"a","MESSAGE":"m"}\n'.repeat(500) }
    const { found, evidence } = await asking(journalErrors, { commands })
    expect(found).toBe('500')
    expect(evidence.length).toBeLessThan(50)
  })

  it('rejects a line that is cut', async () => {
    await expect(asking(journalErrors, { commands: { [ERRORS]: '{"MESSAGE":' } })).rejects.toMatchObject({
      code: 'MALFORMED_INPUT',
    })
  })
})
