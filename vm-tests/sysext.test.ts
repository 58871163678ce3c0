import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { guestToolsProgram, writeSystemExtension } from '../src/guest/index.ts'
import { aws, expect, type TestMachine, test } from '../src/testing/vitest.ts'
import { Cache } from '../src/toolchain/index.ts'
import { tools } from './support/scene.ts'

const IMDS = '/usr/lib/systemd/systemd-imds'
const SYSUPDATE = '/usr/lib/systemd/systemd-sysupdate'
const TOOLS = [
  IMDS,
  SYSUPDATE,
  '/usr/lib/systemd/systemd-imdsd',
  '/usr/lib/systemd/systemd-measure',
  '/usr/lib/systemd/system-generators/systemd-imds-generator',
]
const OURS = TOOLS.map(() => '/usr/lib/bootwright/guest-tools')
const EXTENSION = '/run/extensions/bootwright.raw'
const RELEASE = 'usr/lib/extension-release.d/extension-release'
const SOCKETS = ['systemd-imdsd.socket', 'systemd-sysupdate.socket']
const FINGERPRINT = `find /usr -xdev -printf '%p %y %m %U %s %T@ %l\\n' | sort | sha256sum; sha256sum ${TOOLS.join(' ')}`
const TRANSFER = `[Source]
Type=regular-file
Path=/var/tmp/from
MatchPattern=a_@v.raw
[Target]
Type=regular-file
Path=/var/tmp/to
MatchPattern=a_@v.raw
`

type Machine = Pick<TestMachine, 'run' | 'runUnchecked' | 'writeFile' | 'cloud'>

/** The program of an extension is 150 MB, and the machine boots from cold: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('the guest tools as a system extension', () => {
  let directory: string
  let extension: { readonly path: string; readonly size: number }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-sysext-'))
    const path = join(directory, 'bootwright.raw')
    await writeSystemExtension(path, { program: await guestToolsProgram(new Cache()), toolchain: await tools() })
    extension = { path, size: (await stat(path)).size }
  }, 300_000)
  afterAll(() => rm(directory, { recursive: true }))

  /** Where all of these tools are already, as the distribution has them: on a disk that is nothing but the extension. */
  const options = () => ({
    cloud: aws({ hostname: 'web-1' }),
    disks: [{ name: 'extension', sizeMiB: Math.ceil(extension.size / 1024 ** 2), contentPath: extension.path }],
    memoryMiB: 2048,
  })

  async function bringTo(machine: Machine, file = EXTENSION): Promise<void> {
    const copy = `mkdir -p /run/extensions; head -c ${extension.size} /dev/disk/by-id/virtio-extension >${file}`
    await machine.run(['sh', '-ec', copy])
  }

  test('takes the place of the originals, works there, and gives them back', async ({ boot }) => {
    await using machine = await boot('upstream', options())
    await bringTo(machine)
    await machine.run(['systemctl', 'start', 'systemd-networkd.service'])
    await machine.run(['/usr/lib/systemd/systemd-networkd-wait-online', '--ipv4', '--timeout=60'])
    const before = (await machine.run(['sh', '-c', FINGERPRINT])).stdout.toString()
    expect(await programsOf(machine)).toEqual(TOOLS)
    expect(await brokerOf(machine)).not.toContain('bootwright')

    await machine.run(['systemd-sysext', 'merge'])
    expect(await programsOf(machine)).toEqual(OURS)
    await machine.run(['systemctl', 'restart', ...SOCKETS])
    expect(await brokerOf(machine)).toContain('bootwright')
    await machine.run(['sh', '-ec', 'mkdir -p /etc/sysupdate.d /var/tmp/from /var/tmp/to; cd /var/tmp'])
    await machine.writeFile('/etc/sysupdate.d/a.transfer', TRANSFER, 0o644)
    await machine.run(['sh', '-ec', 'echo 1 >/var/tmp/to/a_1.raw; echo 2 >/var/tmp/from/a_2.raw'])
    expect(await machine.run([SYSUPDATE, '--version'])).toPrint(/bootwright/)
    expect(await machine.run([SYSUPDATE, 'check-new'])).toPrint('2')
    const call = ['varlinkctl', 'call', '--json=short', '/run/systemd/io.systemd.SysUpdate']
    const checked = await machine.run([...call, 'io.systemd.SysUpdate.CheckNew', '{"target":{"class":"host"}}'])
    expect(JSON.parse(checked.stdout.toString())).toEqual({ available: '2' })
    const units = ['systemd-sysupdate@*.service', 'systemd-sysupdate-update.service']
    await machine.run(['systemctl', 'start', '--wait', 'systemd-sysupdate-update.service'])
    expect(await machine.run(['cat', '/var/tmp/to/a_2.raw'])).toPrint('2')
    expect(
      await machine.run(['systemctl', 'list-units', '--state=failed', '--plain', '--no-legend', ...units]),
    ).toPrint('')

    await machine.run(['systemd-sysext', 'unmerge'])
    expect((await machine.run(['sh', '-c', FINGERPRINT])).stdout.toString()).toBe(before)
    await machine.run(['systemctl', 'restart', ...SOCKETS])
    expect(await brokerOf(machine)).not.toContain('bootwright')
    expect((await machine.run([SYSUPDATE, '--version'])).stdout.toString()).not.toContain('bootwright')
  })

  test('is refused where it is not for this system, and where its superblock is damaged', async ({ boot }) => {
    await using machine = await boot('upstream', options())
    const merge = async (): Promise<string> => {
      const { stdout, stderr } = await machine.runUnchecked(['systemd-sysext', 'merge'])
      expect(await programsOf(machine)).toEqual(TOOLS)
      return `${stdout}${stderr}`
    }
    // Its release names the file.
    await bringTo(machine, '/run/extensions/other.raw')
    expect(await merge()).toMatch(/other/)

    await machine.run(['sh', '-ec', 'mkdir /run/whole; mount -o loop,ro /run/extensions/other.raw /run/whole'])
    await machine.run(['sh', '-ec', 'mkdir /run/extensions/copy; cp -a /run/whole/usr /run/extensions/copy'])
    await machine.run(['sh', '-ec', 'umount /run/whole; rm /run/extensions/other.raw'])
    await machine.run(['mv', `/run/extensions/copy/${RELEASE}.bootwright`, `/run/extensions/copy/${RELEASE}.copy`])
    // A testing distribution has no version.
    const os =
      'cp /usr/lib/os-release /run/os-release; echo VERSION_ID=14 >>/run/os-release; cp --remove-destination /run/os-release /etc'
    await machine.run(['sh', '-ec', os])
    for (const edit of [
      's/^ID=.*/ID=fedora/',
      's/^ID=.*/ID=debian\\nVERSION_ID=1/',
      's/^ARCHITECTURE=.*/ARCHITECTURE=ia64/',
    ]) {
      const file = `/run/extensions/copy/${RELEASE}.copy`
      await machine.run(['sh', '-ec', `cp ${file} /run/release; sed -i '${edit}' ${file}`])
      expect(await merge()).toMatch(/incompatible|not compatible|No suitable/)
      await machine.run(['cp', '/run/release', file])
    }
    // The same one as it was is taken.
    await machine.run(['systemd-sysext', 'merge'])
    expect(await programsOf(machine)).toEqual(OURS)
    await machine.run(['systemd-sysext', 'unmerge'])
    await machine.run(['rm', '-r', '/run/extensions/copy'])

    // The superblock has a checksum; systemd looks at nothing else of a file system.
    await bringTo(machine)
    await machine.run(['sh', '-ec', `printf X | dd of=${EXTENSION} bs=1 seek=1040 conv=notrunc`])
    expect((await machine.runUnchecked(['systemd-sysext', 'merge'])).exitCode).not.toBe(0)
    expect(await programsOf(machine)).toEqual(TOOLS)
  })
})

/** What is behind the names of the tools. */
async function programsOf(machine: Machine): Promise<string[]> {
  const { stdout } = await machine.run(['readlink', '--canonicalize', ...TOOLS])
  return stdout.toString().trim().split('\n')
}

/** What the broker that answered said of itself to the cloud. */
async function brokerOf(machine: Machine): Promise<string | undefined> {
  expect(await machine.run([IMDS, '--cache=no', '-K', 'hostname'])).toPrint('web-1')
  const { headers = [] } = machine.cloud?.service.transcript.exchanges.at(-1) ?? {}
  return headers.find(([name]) => name === 'User-Agent')?.[1]
}
