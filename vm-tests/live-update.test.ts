import { describe, expect, it } from 'vitest'
import { featureChecks } from '../src/features/index.ts'
import { builtImage, check, failures, verified } from './support/scene.ts'

const LIVE_UPDATE = featureChecks(['service-manager']).filter(({ id }) => id.startsWith('feature-live-update'))

/** A kernel of its own, compiled first if need be: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('a kernel with live update', () => {
  it('hands the memory of services over to the next one, and measures as predicted', async () => {
    const report = await verified(await builtImage('live-update'), { cloud: 'aws', further: LIVE_UPDATE })
    expect(failures(report)).toEqual([])
    expect(check(report, 'event-log')?.status).toBe('passed')
    expect(check(report, 'feature-live-update')?.status).toBe('passed')
    expect(check(report, 'feature-live-update-absent')).toMatchObject({
      status: 'unsupported',
      evidence: ['the kernel has /dev/liveupdate: what is promised without it cannot be seen'],
    })
  })
})
