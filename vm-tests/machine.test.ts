import { describe } from 'vitest'
import { expect, test } from '../src/testing/vitest.ts'

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))

describe('a running machine', () => {
  test('runs commands, with their output and status apart', async ({ boot }) => {
    await using machine = await boot('minimal')
    const result = await machine.runUnchecked(['sh', '-c', 'printf out; printf err >&2; exit 3'])
    expect(result).toEqual({ exitCode: 3, stdout: Buffer.from('out'), stderr: Buffer.from('err') })
    await expect(machine.run(['sh', '-c', 'echo sorry >&2; exit 4'])).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringContaining('sorry'),
    })
  })

  test('carries any bytes in and out', async ({ boot }) => {
    await using machine = await boot('minimal')
    const bytes = Buffer.alloc(1024 * 1024, everyByte)
    await machine.writeFile('/run/test/every byte', bytes, 0o600)
    expect((await machine.readFile('/run/test/every byte')).equals(bytes)).toBe(true)
    expect(await machine.run(['stat', '-c', '%a %s', '/run/test/every byte'])).toPrint(`600 ${bytes.length}`)
  })

  test('runs several commands at once', async ({ boot }) => {
    await using machine = await boot('minimal')
    const order: string[] = []
    const slow = machine.run(['sleep', '3']).then(() => order.push('slow'))
    await machine.run(['true']).then(() => order.push('quick'))
    await slow
    expect(order).toEqual(['quick', 'slow'])
  })

  test('waits for units, and rejects at once for one that fails or is not there', async ({ boot }) => {
    await using machine = await boot('minimal')
    await machine.unitActive('multi-user.target')
    await machine.runUnchecked(['systemd-run', '--property=Type=oneshot', '--unit=broken', 'false'])
    await expect(machine.unitActive('broken.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
    await expect(machine.unitActive('no-such.service')).rejects.toMatchObject({ code: 'GUEST_UNIT_FAILED' })
    await expect(machine).toHaveFailedUnits(['broken.service'])
  })

  test('has a console that says what the kernel says', async ({ boot }) => {
    await using machine = await boot('minimal')
    const seen = new Promise<string>((resolve) => {
      const stop = machine.console.onLine((line) => {
        if (!line.includes('hello from the kernel')) return
        stop()
        resolve(line)
      })
    })
    await machine.run(['sh', '-c', 'echo "<1>hello from the kernel" >/dev/kmsg'])
    expect(await seen).toMatch(/\[ *\d+\.\d+\] hello from the kernel$/)
  })

  test('ends every wait with the panic of its kernel', async ({ boot }) => {
    await using machine = await boot('minimal', {
      from: 'cold',
      until: 'power-on',
      kernelCommandLine: ['root=/dev/none', 'rdinit=/bin/false'],
    })
    await expect(machine).toRefuseBoot({ by: 'kernel' })
    await expect(machine.run(['true'])).rejects.toMatchObject({
      code: 'GUEST_PANIC',
      message: expect.stringMatching(/Kernel panic - not syncing[\s\S]*The end of its console/),
    })
  })

  test('comes back with its disk, variables and TPM after it was switched off', async ({ boot }) => {
    await using machine = await boot('minimal')
    await machine.writeFile('/var/kept', 'kept')
    await machine.run(['sync'])
    const { stdout: before } = await machine.run(['cat', '/etc/machine-id'])
    await using stopped = await machine.powerOff()
    await using again = await stopped.restart()
    expect(await again.booted()).not.toBe('')
    expect((await again.readFile('/var/kept')).toString()).toBe('kept')
    expect(await again.run(['cat', '/etc/machine-id'])).toPrint(before)
    // In its second boot, with the variables that the first one has left.
    await expect(again).toMeasureAsPredicted()
  })
})
