import { describe, expect, it } from 'vitest'
import type { RunningMachine } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import { bootCheck } from './boot-check.ts'

const refusal = { by: 'firmware', because: 'secure-boot', image: 'EFI/x.efi', why: 'it is not signed' } as const

function machine(booted: () => Promise<string>): Pick<RunningMachine, 'booted' | 'console'> {
  return { booted, console: { onLine: () => () => undefined } as unknown as RunningMachine['console'] }
}

const up = machine(async () => 'running')
const refused = machine(async () => {
  throw new BootwrightError('BOOT_REFUSED', 'The firmware did not start anything', { hint: 'Sign it.' })
})
const ask = (running: ReturnType<typeof machine>, predicted?: typeof refusal) =>
  bootCheck(running, predicted, {}, () => undefined)

describe('bootCheck()', () => {
  it('passes for a boot that was to be, and fails for one that was not', async () => {
    expect(await ask(up)).toMatchObject({ systemState: 'running', report: { id: 'boot', status: 'passed' } })
    expect((await ask(refused)).report).toMatchObject({ status: 'failed', code: 'BOOT_REFUSED', hint: 'Sign it.' })
    expect((await ask(refused)).systemState).toBeUndefined()
  })

  it('fails for a boot that the firmware should have refused', async () => {
    const { report, systemState } = await ask(up, refusal)
    expect(report).toMatchObject({
      status: 'failed',
      expected: 'the firmware refuses EFI/x.efi because of secure-boot: it is not signed',
      found: 'it booted',
    })
    // The other checks can be asked all the same.
    expect(systemState).toBe('running')
  })

  it('says that a refusal was predicted; that does not make it a boot', async () => {
    const { report } = await ask(refused, refusal)
    expect(report.status).toBe('failed')
    expect(report.evidence).toEqual([
      'The firmware did not start anything',
      expect.stringMatching(/^It was predicted: the firmware refuses/),
    ])
  })

  it('leaves what is no fault of the guest to its caller', async () => {
    const broken = machine(async () => {
      throw new BootwrightError('HELPER_EXITED', 'QEMU has ended')
    })
    await expect(ask(broken)).rejects.toThrow('QEMU has ended')
  })
})
