import { type Check, failed, passed } from '../check.ts'

export const systemState: Check = {
  id: 'system-state',
  title: 'The system manager is content',
  async run({ systemState }) {
    if (systemState === 'running') return passed('running')
    return failed({
      expected: 'running',
      found: systemState,
      hint: 'The check "failed-units" names the units; `systemctl list-jobs` those that still wait.',
    })
  },
}
