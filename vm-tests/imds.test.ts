import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe } from 'vitest'
import { StandIns } from '../src/conformance/index.ts'
import { guestToolsProgram } from '../src/guest/index.ts'
import { aws, expect, test } from '../src/testing/vitest.ts'
import { Cache, readyToolchain } from '../src/toolchain/index.ts'

const IMDS = '/usr/lib/systemd/systemd-imds'
const LIBRARIES = '/run/bootwright-libraries'

/** A machine with the program in it takes its time to boot under emulation: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('the broker in the place of the original', () => {
  let standIns: StandIns

  beforeAll(async () => {
    standIns = await StandIns.of(await guestToolsProgram(new Cache()))
  })

  test("serves systemd's own client, where the original gives up at the first key that is not there", async ({
    boot,
  }) => {
    const userData = JSON.stringify({ 'systemd.credentials': [{ name: 'motto', text: 'from the cloud' }] })
    await using machine = await boot('cloud', {
      cloud: aws({ userData, hostname: 'web-1' }),
      disks: [standIns.disk],
      memoryMiB: 2048,
    })
    const absent = ['/meta-data/nothing']
    const theirs = await machine.runUnchecked([IMDS, ...absent])
    expect(theirs.stderr.toString()).toContain('io.systemd.System')

    await standIns.replace(machine, ['systemd-imdsd'])
    // What Node needs and this image has not: of the same distribution.
    const root = (await readyToolchain())?.root ?? ''
    await machine.run(['mkdir', '-p', LIBRARIES])
    for (const name of ['libatomic.so.1', 'libstdc++.so.6', 'libgcc_s.so.1']) {
      await machine.writeFile(
        `${LIBRARIES}/${name}`,
        await readFile(join(root, `usr/lib/${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`, name)),
      )
    }
    // A compiler at run time needs what this forbids.
    await machine.run(['mkdir', '-p', '/run/systemd/system/systemd-imdsd@.service.d'])
    await machine.writeFile(
      '/run/systemd/system/systemd-imdsd@.service.d/50-node.conf',
      `[Service]\nMemoryDenyWriteExecute=no\nEnvironment=LD_LIBRARY_PATH=${LIBRARIES}\n`,
    )
    await machine.run(['systemctl', 'daemon-reload'])
    const ours = await machine.runUnchecked([IMDS, ...absent])
    expect(ours.stderr.toString()).toContain('Key not available')
    expect(await machine.run([IMDS, '-K', 'hostname'])).toPrint('web-1')
    expect(await machine.run([IMDS, '--userdata'])).toPrint(userData)
    expect(await machine.run([IMDS])).toPrint(/Vendor: amazon-ec2\n +Hostname: web-1\n/)
    const socket = '/run/systemd/io.systemd.InstanceMetadata'
    const vendor = await machine.run(['varlinkctl', 'call', socket, 'io.systemd.InstanceMetadata.GetVendorInfo', '{}'])
    expect(JSON.parse(vendor.stdout.toString())).toMatchObject({
      vendor: 'amazon-ec2',
      addressIPv4: [169, 254, 169, 254],
    })
  })
})
