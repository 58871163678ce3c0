/**
 * Tests that boot machines, for Vitest.
 *
 * @module
 * @example
 * import { aws, expect, test } from 'bootwright/vitest'
 *
 * test('knows its cloud', async ({ boot }) => {
 *   await using machine = await boot('cloud', { cloud: aws({ hostname: 'web-1' }) })
 *   expect(await machine.run(['cat', '/run/credstore/firstboot.hostname'])).toPrint('web-1')
 * })
 */
export type { Boot, BootOptions, ForkChoice, StoppedTestMachine, TestMachine, TpmChoice } from './boot-options.ts'
export {
  akamai,
  alibaba,
  aws,
  azure,
  type CloudDescription,
  type CloudOptions,
  type DescribeCloud,
  digitalocean,
  exoscale,
  google,
  hetzner,
  openstack,
  oracle,
  scaleway,
  tencent,
  upcloud,
  vultr,
  withMetadataAt,
} from './cloud-description.ts'
export { expect } from './expect.ts'
export { test } from './fixtures.ts'
export type { MachineMatchers } from './matchers/index.ts'
export type { AllowedSymptom } from './symptoms.ts'
export type { TestCloud } from './test-cloud.ts'
