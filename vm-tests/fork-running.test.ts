import { describe } from 'vitest'
import { expect, test } from '../src/testing/vitest.ts'

describe('fork() of a running machine', () => {
  test('goes on from where it is, with everything of its own', async ({ boot }) => {
    await using first = await boot('minimal')
    await first.writeFile('/run/mark', 'first')
    await first.writeFile('/var/on-disk', 'first')
    const asked = await first.tpm.readPcrs()
    await using second = await first.fork({ identity: 'fresh' })
    expect(await second.tpm.readPcrs()).toEqual(asked)
    expect(String(await second.readFile('/etc/machine-id'))).not.toBe(String(await first.readFile('/etc/machine-id')))

    for (const path of ['/run/mark', '/var/on-disk']) await second.writeFile(path, 'second')
    await second.run(['/usr/lib/systemd/systemd-pcrextend', '--pcr=15', 'only here'])
    expect(await first.readFile('/run/mark')).toEqual(Buffer.from('first'))
    expect(await first.readFile('/var/on-disk')).toEqual(Buffer.from('first'))
    expect(await first.tpm.readPcrs()).toEqual(asked)
    expect((await second.tpm.readPcrs()).get(15)).not.toBe(asked.get(15))

    // A fork of the fork lies over more layers, and needs neither of the others.
    await second.run(['sync'])
    await using third = await second.fork()
    await first.cutPower()
    await second.cutPower()
    expect(await third.readFile('/var/on-disk')).toEqual(Buffer.from('second'))
    await using stopped = await third.cutPower()
    await using again = await stopped.restart()
    await again.booted()
    expect(await again.readFile('/var/on-disk')).toEqual(Buffer.from('second'))
  })

  test('has a cloud of its own, as it was', async ({ boot }) => {
    await using first = await boot('cloud', { cloud: 'aws' })
    first.cloud?.instance.update({ userData: Buffer.from('changed') })
    await using second = await first.fork()
    expect(second.cloud?.instance.current.userData).toEqual(Buffer.from('changed'))
    await expect(second).toReachMetadata()
    second.cloud?.instance.update({ userData: Buffer.from('again') })
    expect(first.cloud?.instance.current.userData).toEqual(Buffer.from('changed'))
    await expect(first).toReachMetadata()
  })

  test('is refused where it makes no sense', async ({ boot, openNetwork }) => {
    const network = await openNetwork()
    await using web = await boot('minimal', { network, name: 'web' })
    await expect(web.fork()).rejects.toThrow('shares its network')
  })
})
