import { expect, it } from 'vitest'
import { clouds } from '../src/cloud/index.ts'
import { builtImage, check, failures, verified } from './support/scene.ts'

const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'
const known = [...clouds.values()].filter(({ hwdb }) => hwdb !== undefined)

it.skipIf(!isAll).for(known.filter(({ name }) => name !== 'tencent'))(
  'the cloud image knows that it is in $title, and what that tells it',
  async ({ name, hwdb }) => {
    const report = await verified(await builtImage('cloud'), { cloud: name })
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
