import { describe, expect, it } from 'vitest'
import { featureChecks } from '../src/features/index.ts'
import { builtImage, check, extraUnit, failures, verified } from './support/scene.ts'

const CHECKS = featureChecks(['credentials'])

/** An image of its own each: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('the TPM', () => {
  it('has NvPCRs where the UKI brings a signed policy for them, as predicted', async () => {
    const report = await verified(await builtImage('nvpcr'), { further: CHECKS })
    expect(failures(report)).toEqual([])
    expect(check(report, 'feature-nvpcrs')?.status).toBe('passed')
  })

  it('fails a definition that the initrd does not have', async () => {
    const copy = "sed 's/login/other/; s/30474755/30474756/' login.nvpcr >other.nvpcr"
    const spec = extraUnit('other.service', ['[Service]', `ExecStart=sh -c "cd /usr/lib/nvpcr && ${copy}"`])
    const report = await verified(await builtImage('nvpcr'), { further: CHECKS, spec })
    expect(failures(report)).toEqual(['feature-nvpcrs'])
  })
})
