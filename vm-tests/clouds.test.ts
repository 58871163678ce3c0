import { expect, it } from 'vitest'
import { clouds } from '../src/cloud/index.ts'
import { type Check, failed, passed } from '../src/verify/index.ts'
import { builtImage, check, failures, verified } from './support/scene.ts'

const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'
const known = [...clouds.values()].filter(({ hwdb }) => hwdb !== undefined)

/** The wire server of Azure is known by an option of DHCP, and both addresses by routes of their own. */
const azureLease: Check = {
  id: 'azure-lease',
  title: 'DHCP told of the wire server and the way to it',
  async run({ machine }) {
    const { stdout: leases } = await machine.run(['sh', '-c', 'cat /run/systemd/netif/leases/*'])
    const { stdout: route } = await machine.run(['ip', '-4', 'route', 'show', '168.63.129.16'])
    const option = /^OPTION_245=(.*)$/m.exec(leases)?.[1] ?? 'no option 245'
    const expected = 'a83f8110 via 10.77.0.1'
    const found = `${option} ${/via \S+/.exec(route)?.[0] ?? 'no route'}`
    return found === expected ? passed(found) : failed({ expected, found })
  },
}

it.skipIf(!isAll).for(known.filter(({ name }) => name !== 'tencent'))(
  'the cloud image knows that it is in $title, and what that tells it',
  async ({ name, hwdb }) => {
    const further = name === 'azure' ? [azureLease] : []
    const report = await verified(await builtImage('cloud'), { cloud: name, further })
    expect(failures(report)).toEqual([])
    const unsupported = report.checks.filter(({ status }) => status === 'unsupported').map(({ id }) => id)
    expect(unsupported).toEqual(hwdb?.wellKnown.hostname === undefined ? ['imds-hostname'] : [])
  },
)

it.skipIf(!isAll)('the cloud image finds nothing of Tencent Cloud in its initrd, which resolves no names', async () => {
  const report = await verified(await builtImage('cloud'), { cloud: 'tencent' })
  expect(failures(report)).toContain('imds-credentials')
  expect(check(report, 'journal-errors')?.evidence.join()).toContain('CommunicationFailure')
  expect(check(report, 'cloud-recognised')?.status).toBe('passed')
  expect(check(report, 'imds-hostname')?.status).toBe('passed')
})
