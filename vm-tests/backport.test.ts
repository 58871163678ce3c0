import { describe, it } from 'vitest'
import { clouds } from '../src/cloud/index.ts'
import { aws, expect, test } from '../src/testing/vitest.ts'
import { builtImage, failures, verified } from './support/scene.ts'

const IMDS = '/usr/lib/systemd/systemd-imds'
const SOCKET = '/run/systemd/io.systemd.InstanceMetadata'
const NETWORK_FILE = '/run/systemd/network/85-imds-early.network'
const LINK = "ip -4 -o route show default | sed -E 's/.* dev ([^ ]+).*/\\1/; q'"
const AS_NOBODY = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups']
const known = [...clouds.values()].filter(({ hwdb }) => hwdb !== undefined)

/** An image of its own, and a boot for each cloud: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')(
  'the guest tools in Debian trixie, whose systemd has no broker',
  () => {
    it.for(known)(
      'know that they are in $title, import what it tells, and measure as predicted',
      async ({ name, hwdb }) => {
        const report = await verified(await builtImage('backport'), { cloud: name })
        expect(failures(report)).toEqual([])
        const unsupported = report.checks.filter(({ status }) => status === 'unsupported').map(({ id }) => id)
        expect(unsupported).toEqual(hwdb?.wellKnown.hostname === undefined ? ['imds-hostname'] : [])
      },
    )

    it('do nothing where there is no cloud', async () => {
      const report = await verified(await builtImage('backport'))
      expect(failures(report)).toEqual([])
      expect(report.checks.find(({ id }) => id === 'cloud-recognised')?.status).not.toBe('failed')
    })

    test('let polkit judge ordinary users, and count what they did', async ({ boot }) => {
      await using machine = await boot('backport', { cloud: aws({ hostname: 'web-1' }), memoryMiB: 2048 })
      const get = [IMDS, '-K', 'hostname']
      expect(await machine.run(get)).toPrint('web-1')
      const refused = await machine.runUnchecked([...AS_NOBODY, ...get])
      expect([refused.exitCode, refused.stdout.toString()]).toEqual([1, ''])
      const rule =
        'polkit.addRule(function (action, subject) { if (action.id == "io.systemd.imds.get" && subject.user == "nobody") return polkit.Result.YES })'
      await machine.writeFile('/etc/polkit-1/rules.d/10-nobody.rules', `${rule}\n`, 0o644)
      await machine.run(['systemctl', 'restart', 'polkit.service'])
      expect(await machine.run([...AS_NOBODY, ...get])).toPrint('web-1')
      await machine.run(['systemctl', 'start', 'systemd-imds-metrics.socket'])
      const metrics = '/run/systemd/report/io.systemd.InstanceMetadata'
      const { stdout } = await machine.run(['varlinkctl', 'call', '--more', metrics, 'io.systemd.Metrics.List', '{}'])
      expect(stdout.toString()).toContain('io.systemd.InstanceMetadata')
      const askers = machine.cloud?.service.transcript.exchanges.map(({ process }) => process) ?? []
      expect(askers).toContainEqual(expect.objectContaining({ name: 'systemd-imdsd', unit: 'systemd-imdsd.service' }))
      const described = await machine.run(['varlinkctl', 'introspect', SOCKET, 'io.systemd.InstanceMetadata'])
      expect(described.stdout.toString()).toContain('method GetVendorInfo')
    })

    test('lock the endpoint for all but the broker', async ({ boot }) => {
      await using machine = await boot('backport', {
        cloud: aws({ hostname: 'web-1' }),
        memoryMiB: 2048,
        kernelCommandLine: ['systemd.imds.network=locked'],
      })
      expect((await machine.readFile(NETWORK_FILE)).toString()).toContain('prohibit')
      const knock = async (...as: string[]): Promise<number> =>
        (await machine.runUnchecked([...as, 'bash', '-c', 'exec 3<>/dev/tcp/169.254.169.254/80'])).exitCode
      // The image's own file has the smaller number, and with it the interface.
      expect(await knock(...AS_NOBODY)).toBe(0)
      await machine.run(['ln', '-s', '/dev/null', '/run/systemd/network/80-ethernet.network'])
      await machine.run(['networkctl', 'reload'])
      const link = (await machine.run(['sh', '-c', LINK])).stdout.toString().trim()
      await machine.run(['networkctl', 'reconfigure', link])
      await machine.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--ipv4', '--timeout=60'])
      expect(await knock(...AS_NOBODY)).not.toBe(0)
      expect(await machine.run([IMDS, '--cache=no', '-K', 'hostname'])).toPrint('web-1')
    })
  },
)
