import { expect, test } from '../src/testing/vitest.ts'

const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'

/** What a boot is, and which of the two conditions hold in it. */
const BOOTS = [
  ['with a TPM, told that it is not measured', { kernelCommandLine: ['systemd.tpm2_measured_os=no'] }, true, false],
  ['without a TPM', { tpm: 'absent' }, false, false],
  [
    'without a TPM, told that it is measured',
    { tpm: 'absent', kernelCommandLine: ['systemd.tpm2_measured_os=yes'] },
    false,
    true,
  ],
] as const

// The boot with a TPM is in features.test.ts.
test.runIf(isAll).for(BOOTS)('a boot %s', async ([, options, isUki, isOs], { boot }) => {
  await using machine = await boot('minimal', { ...options, from: 'cold' })
  const holds = async (condition: string) =>
    (await machine.runUnchecked(['systemd-analyze', 'condition', `ConditionSecurity=${condition}`])).exitCode === 0
  expect({ uki: await holds('measured-uki'), os: await holds('measured-os') }).toEqual({ uki: isUki, os: isOs })
  // What is not to be measured was left alone, and has not failed.
  const { stdout } = await machine.run([
    'systemctl',
    'show',
    '--property=ActiveState,ConditionResult',
    'systemd-pcrphase.service',
  ])
  expect(stdout).toContain(`ConditionResult=${isOs ? 'yes' : 'no'}`)
  if (!isOs) await expect(machine).toHaveFailedUnits([])
})
