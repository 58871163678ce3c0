import { type Check, failed, guestJson, passed } from '../check.ts'

interface Entry {
  readonly MESSAGE?: string | readonly number[] | null
  readonly SYSLOG_IDENTIFIER?: string
  readonly PRIORITY?: string
}

const SHOWN = 20

export const journalErrors: Check = {
  id: 'journal-errors',
  title: 'The journal has no errors',
  async run({ machine }) {
    const { stdout } = await machine.run(['journalctl', '--boot', '--priority=err', '--output=json', '--no-pager'])
    const entries = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => guestJson(line, 'journalctl') as Entry)
    if (entries.length === 0) {
      const { stdout: count } = await machine.run(['sh', '-c', 'journalctl --boot --no-pager --output=cat | wc -l'])
      if (Number(count) === 0) return failed({ expected: 'a journal with entries', found: 'an empty journal' })
      return passed(`${count.trim()} lines, none of priority err or above`)
    }
    return failed({
      expected: 'no entry of priority err or above',
      found: `${entries.length}`,
      evidence: entries.slice(0, SHOWN).map((entry) => `${entry.SYSLOG_IDENTIFIER ?? '?'}: ${text(entry.MESSAGE)}`),
    })
  },
}

/** journalctl writes a message that is not UTF-8 as its bytes, and one that is too long as null. */
function text(message: Entry['MESSAGE']): string {
  if (message === undefined || message === null) return '(long message)'
  return typeof message === 'string' ? message : Buffer.from(message).toString()
}
