import { describe } from 'vitest'
import type { RunningMachine } from '../src/machine/index.ts'
import { hostPcrs } from '../src/scene/index.ts'
import { aws, expect, test } from '../src/testing/vitest.ts'

/** What the commands lead to that the host saw. */
async function seenFromHost(
  machine: Pick<RunningMachine, 'observedBoot'>,
): Promise<ReadonlyMap<number, string> | undefined> {
  return hostPcrs(await machine.observedBoot(), ['sha256']).get('sha256')
}

const shared = test
  .extend('machine', { scope: 'file' }, ({ bootForFile }) => bootForFile('minimal'))
  .extend('elder', { scope: 'worker' }, ({ bootForWorker }) => bootForWorker('minimal'))

describe('a test with machines', () => {
  test('has one that has booted, and asks it things', async ({ boot }) => {
    await using machine = await boot('minimal')
    await machine.unitActive('multi-user.target')
    expect(await machine.run(['echo', 'hello'])).toPrint('hello')
    await expect(machine).toBeRunning()
    await expect(machine).toHaveFailedUnits([])
    await expect(machine).toMeasureAsPredicted()
    await expect(machine).not.toHavePcr(11, '00'.repeat(32), { withinMs: 0 })
    await expect(machine).toBeUpdatedTo('1')
  })

  test('has them one after another, each as if it were the first', async ({ boot }) => {
    {
      await using machine = await boot('minimal')
      await machine.writeFile('/var/mark', 'here')
    }
    await using other = await boot('minimal')
    expect((await other.runUnchecked(['test', '-e', '/var/mark'])).exitCode).toBe(1)
  })

  test('names what there is instead of what there is not', async ({ boot }) => {
    await expect(boot('minimum')).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: expect.stringMatching(/^There is no image "minimum"; there are: .*minimal/),
    })
    await expect(boot('minimal', { cloud: 'moon' })).rejects.toThrow(/There is no cloud "moon"; there are: .*aws/)
    await expect(boot('minimal', { firmware: 'bios' })).rejects.toThrow(
      /There is no firmware "bios"; there are: .*plain/,
    )
  })

  test('reaches the metadata of its cloud', async ({ boot }) => {
    await using machine = await boot('cloud', { cloud: aws({ hostname: 'web-1' }) })
    await expect(machine).toReachMetadata()
    expect(machine.cloud?.instance.current.hostname).toBe('web-1')
  })

  test('has a cloud, what that has for it, and Secure Boot', async ({ boot }) => {
    const userData = JSON.stringify({ 'systemd.credentials': [{ name: 'motto', text: 'from the cloud' }] })
    await using machine = await boot('cloud', {
      cloud: aws({ userData, hostname: 'web-1' }),
      firmware: 'secure-boot',
    })
    await machine.unitActive('multi-user.target')
    expect(await machine.run(['systemd-imds', '--well-known=hostname'])).toPrint('web-1')
    expect(await machine.run(['cat', '/run/credstore/motto'])).toPrint('from the cloud')
    await expect(machine).toMeasureAsPredicted()
  })

  test('sees a refusal in the time that it takes', async ({ boot }) => {
    await using machine = await boot('minimal', {
      from: 'cold',
      until: 'power-on',
      kernelCommandLine: ['root=/dev/none', 'rdinit=/bin/false'],
    })
    await expect(machine).toRefuseBoot({ by: 'kernel', because: /Kernel panic/ })
  })
})

describe('the TPM of a machine, seen from the host', () => {
  test('has the PCRs of the guest, from power-on to a fork and on', async ({ boot }) => {
    await using machine = await boot('minimal')
    await machine.run(['/usr/lib/systemd/systemd-pcrextend', '--pcr=23', 'application'])
    expect(await seenFromHost(machine)).toEqual(await machine.tpm.readPcrs())
  })

  test('is not what a lying guest shows', async ({ boot }) => {
    await using machine = await boot('minimal')
    const honest = await machine.tpm.readPcrs()
    await machine.writeFile('/run/7', `${'AB'.repeat(32)}\n`)
    await machine.run(['mount', '--bind', '/run/7', '/sys/class/tpm/tpm0/pcr-sha256/7'])
    const shown = await machine.tpm.readPcrs()
    expect(shown.get(7)).toBe('ab'.repeat(32))
    expect(await seenFromHost(machine)).toEqual(honest)
    await expect(expect(machine).toMeasureAsPredicted({ withinMs: 0 })).rejects.toThrow(
      `PCR 7 (sha256): the host saw what leads to ${honest.get(7)}, the guest shows abab`,
    )
  })
})

describe('a machine of a file', () => {
  shared('is there for the first test', async ({ machine }) => {
    await machine.writeFile('/run/mark', 'of the first')
    expect(await machine.run(['cat', '/run/mark'])).toPrint('of the first')
  })

  shared('and is the same for the next', async ({ machine }) => {
    expect(await machine.run(['cat', '/run/mark'])).toPrint('of the first')
  })

  shared('is another one than that of the worker', async ({ machine, elder }) => {
    expect((await elder.runUnchecked(['test', '-e', '/run/mark'])).exitCode).toBe(1)
    await elder.writeFile('/run/mark', 'of the worker')
    expect(await machine.run(['cat', '/run/mark'])).toPrint('of the first')
  })

  shared('which is there for the next test as well', async ({ elder }) => {
    expect(await elder.run(['cat', '/run/mark'])).toPrint('of the worker')
  })
})
