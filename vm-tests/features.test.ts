import { describe, expect, it } from 'vitest'
import { FEATURES, featureChecks } from '../src/features/index.ts'
import { builtImage, check, extraUnit, failures, verified } from './support/scene.ts'

/** Some of the features each take another boot. */
const LONG_MS = 1_200_000
const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'
/** Each a boot more: part of `./bootwright test --all`. */
const MORE_BOOTS = ['serial-console', 'fallback-entry'].map((id) => `feature-${id}`)

describe('verify --features', () => {
  it(
    'sees every feature at work on the image that has them all, on and off',
    async () => {
      const further = featureChecks().filter(({ id }) => isAll || !MORE_BOOTS.includes(id))
      const report = await verified(await builtImage('features'), { cloud: 'aws', further })
      const features = report.checks.filter(({ id }) => id.startsWith('feature-'))
      expect(features).toHaveLength(FEATURES.length - (isAll ? 0 : MORE_BOOTS.length))
      // What they did to the machine did not make it another one.
      const notPassed = report.checks.filter(({ status }) => status !== 'passed')
      // No signed PCR policy, and Debian's own kernel.
      const unsupported = ['feature-nvpcrs', 'feature-live-update']
      expect(notPassed).toMatchObject(unsupported.map((id) => ({ id, status: 'unsupported' })))
    },
    LONG_MS,
  )

  it('fails the feature that somebody has switched off', async () => {
    const unit = extraUnit('no-records.service', [
      '[Unit]',
      'DefaultDependencies=no',
      'Before=systemd-resolved.service',
      '[Service]',
      'Type=oneshot',
      `ExecStart=sh -c "mkdir -p /run/systemd/resolved.conf.d; printf '[Resolve]\\\\nReadStaticRecords=no\\\\n' >/run/systemd/resolved.conf.d/no-records.conf"`,
    ])
    const report = await verified(await builtImage('cloud'), {
      cloud: 'aws',
      further: featureChecks(['network']),
      spec: unit,
    })
    expect(failures(report).filter((id) => id.startsWith('feature-'))).toEqual(['feature-static-records'])
    expect(check(report, 'feature-static-records')?.expected).toBe('an address: 192.0.2.1')
  })

  it.runIf(isAll)('names what an image lacks, and passes nothing there', async () => {
    const report = await verified(await builtImage('minimal'), { further: featureChecks(['network', 'containers']) })
    const features = report.checks.filter(({ id }) => id.startsWith('feature-'))
    expect(features.map(({ status }) => status)).toEqual(features.map(() => 'unsupported'))
    expect(check(report, 'feature-dhcp-lease')?.evidence).toEqual(['systemd-networkd.service is not active'])
    expect(check(report, 'feature-forward-journal')?.evidence).toEqual([
      'the image has no /usr/bin/systemd-nspawn (package systemd-container)',
      'the image has no /usr/lib/systemd/systemd-journal-remote (package systemd-journal-remote)',
    ])
  })
})
