import { type Check, failed, guestJson, passed } from '../check.ts'

interface Unit {
  readonly unit: string
  readonly description: string
}

export const failedUnits: Check = {
  id: 'failed-units',
  title: 'No unit has failed',
  async run({ machine }) {
    const { stdout } = await machine.run(['systemctl', 'list-units', '--all', '--failed', '--output=json'])
    const units = guestJson(stdout, 'systemctl') as Unit[]
    if (units.length === 0) {
      const { stdout: all } = await machine.run(['systemctl', 'list-units', '--state=active', '--output=json'])
      return passed(`${(guestJson(all, 'systemctl') as Unit[]).length} active units, none failed`)
    }
    const evidence: string[] = []
    for (const { unit, description } of units) {
      const status = await machine.runUnchecked(['systemctl', 'status', '--no-pager', '--lines=5', '--', unit])
      evidence.push(`${unit} (${description})`, status.stdout.toString().trim())
    }
    return failed({ expected: 'no failed unit', found: units.map(({ unit }) => unit).join(', '), evidence })
  },
}
