import { describe } from 'vitest'
import { expect, type TestMachine, test } from '../src/testing/vitest.ts'

/** The minimal image has no network of its own. */
async function online(machine: TestMachine): Promise<void> {
  await machine.writeFile('/run/systemd/network/10-all.network', '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n')
  await machine.run(['chmod', '-R', 'a+rX', '/run/systemd/network'])
  await machine.run(['systemctl', 'start', 'systemd-networkd'])
  await machine.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--timeout=60'])
  await machine.writeFile('/etc/resolv.conf', 'nameserver 10.77.0.1\n')
}

/** What becomes of a TCP connection to a port where nobody listens: the other machine refuses it, or nobody answers. */
async function knock(from: TestMachine, host: string): Promise<string> {
  const script = `timeout 5 bash -c 'exec 3<>/dev/tcp/${host}/9' 2>&1`
  const { stdout } = await from.runUnchecked(['bash', '-c', script])
  return /Connection refused/.test(stdout.toString()) ? 'refused' : stdout.toString().trim() || 'no answer'
}

describe('machines of one network', () => {
  test('know each other by name, and can be cut off from each other', async ({ boot, openNetwork }) => {
    const network = await openNetwork()
    await using web = await boot('minimal', { network, name: 'web', memoryMiB: 512 })
    await using db = await boot('minimal', { network, name: 'db', memoryMiB: 512 })
    const ids = [await web.readFile('/etc/machine-id'), await db.readFile('/etc/machine-id')].map(String)
    expect(new Set(ids).size).toBe(2)
    for (const machine of [web, db]) await online(machine)

    expect(await web.run(['getent', 'hosts', 'db'])).toPrint(/^10\.77\.0\.11 +db$/)
    expect(await db.run(['getent', 'hosts', 'web'])).toPrint(/^10\.77\.0\.10 +web$/)
    expect(await knock(web, 'db')).toBe('refused')
    expect(await knock(db, 'web')).toBe('refused')
    {
      await using _cut = await web.faults.cutOffFrom(db)
      expect(await knock(web, '10.77.0.11')).toBe('no answer')
      expect(await knock(db, '10.77.0.10')).not.toBe('refused')
      // The rest of the network is still there.
      expect(await web.run(['getent', 'hosts', 'db'])).toPrint(/db$/)
    }
    // A question for the other's address that went out before the end has no answer, for a second or two.
    await expect.poll(() => knock(db, 'web'), { timeout: 20_000 }).toBe('refused')
  })

  test('have a name each', async ({ boot, openNetwork }) => {
    const network = await openNetwork()
    await expect(boot('minimal', { network, name: 'Web_1' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await using _web = await boot('minimal', { network, name: 'web', memoryMiB: 512 })
    await expect(boot('minimal', { network, name: 'web' })).rejects.toThrow('There is a machine "web"')
  })
})
