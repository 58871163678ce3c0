import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RunningMachine } from '../../src/machine/index.ts'
import { run } from '../../src/system/index.ts'
import { cacheDirectory } from '../../src/toolchain/index.ts'
import { diskOf, SYSUPDATE, versionsOf } from '../support/ab-machine.ts'
import { AbScene, versionTwo } from '../support/ab-scene.ts'
import { differences, logsOf, predictorFor } from '../support/measured.ts'
import { tools } from '../support/scene.ts'

/** An extension: a file system with these files, and the file that says what it extends. */
async function extension(kind: 'sysext' | 'confext', name: string, path: string, content: string): Promise<Buffer> {
  const directory = await mkdtemp(join(cacheDirectory(), 'extension-'))
  try {
    const release = `${kind === 'sysext' ? 'usr/lib' : 'etc'}/extension-release.d/extension-release.${name}`
    for (const [file, text] of [
      [release, 'ID=_any\n'],
      [path, content],
    ] as const) {
      const full = join(directory, 'tree', file)
      await mkdir(dirname(full), { recursive: true })
      await writeFile(full, text)
      await chmod(full, 0o755)
    }
    const image = join(directory, 'image')
    await run((await tools()).command(['mkfs.erofs', '--quiet', '--all-root', image, join(directory, 'tree')]))
    return await readFile(image)
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** What makes a kernel say more, for who wants that: beside a UKI, and measured with it. */
async function debugAddon(): Promise<Buffer> {
  const directory = await mkdtemp(join(cacheDirectory(), 'addon-'))
  try {
    const path = join(directory, 'debug.addon.efi')
    await run((await tools()).command(['ukify', 'build', '--cmdline=bootwright.debug=1', `--output=${path}`]))
    return await readFile(path)
  } finally {
    await rm(directory, { recursive: true })
  }
}

const transfer = (head: string, source: string, target: string) =>
  `[Transfer]\n${head}\n[Source]\nType=url-file\nPath=http://updates.example/\nMatchPattern=${source}\n` +
  `[Target]\nType=regular-file\n${target}\n`

/** What an administrator adds to the image: a feature, and a component with two extensions. */
const DEFINITIONS = {
  'sysupdate.d/debug.feature': '[Feature]\nDescription=More words of the kernel\n',
  'sysupdate.d/80-debug.transfer': transfer(
    'Features=debug',
    '%M_@v_%a.debug.addon.efi',
    'Path=/EFI/Linux\nPathRelativeTo=boot\nMatchPattern=%M_@v.efi.extra.d/debug.addon.efi\nMode=0644\nInstancesMax=2',
  ),
  'sysupdate.extras.d/10-tool.transfer': transfer(
    '',
    'tool_@v.raw',
    'Path=/var/lib/extensions/tool.raw.v\nInstancesMax=2',
  ),
  'sysupdate.extras.d/20-settings.transfer': transfer(
    '',
    'settings_@v.raw',
    'Path=/var/lib/confexts/settings.raw.v\nInstancesMax=2',
  ),
}

async function extras(version: string): Promise<Record<string, Buffer>> {
  return {
    [`tool_${version}.raw`]: await extension('sysext', 'tool', 'usr/bin/tool', `#!/bin/sh\necho tool ${version}\n`),
    [`settings_${version}.raw`]: await extension('confext', 'settings', 'etc/settings', `settings ${version}\n`),
  }
}

async function extended(machine: RunningMachine): Promise<string> {
  const { stdout } = await machine.run(['sh', '-c', 'tool; cat /etc/settings'])
  return stdout.trim().replaceAll('\n', ', ')
}

/** Two boots each: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('version 4 comes', () => {
  it.for(['ours', 'the original'])(
    'with a feature that was switched on, and with extensions beside it: %s',
    { timeout: 1_800_000 },
    async (updater) => {
      await using scene = await AbScene.open()
      await scene.releases.publish('2')
      await scene.releases.add(await extras('1'))
      await using two = await scene.fork(await versionTwo())
      const use = (machine: RunningMachine) => (updater === 'ours' ? scene.useOurs(machine) : undefined)
      for (const [path, text] of Object.entries(DEFINITIONS)) await two.writeFile(`/etc/${path}`, text, 0o644)
      await two.run(['systemctl', 'enable', '--now', 'systemd-sysext.service', 'systemd-confext.service'])
      await use(two)
      // The feature is off: version 2 lacks nothing.
      expect((await two.runUnchecked([SYSUPDATE, 'check-new'])).exitCode).toBe(1)
      await two.run([SYSUPDATE, '--component=extras', 'update'])
      await two.run(['sh', '-ec', 'systemd-sysext refresh; systemd-confext refresh'])
      expect(await extended(two)).toBe('tool 1, settings 1')
      await use(two)

      await scene.releases.publish('4')
      await scene.releases.add({ 'ab_4_x86-64.debug.addon.efi': await debugAddon(), ...(await extras('2')) })
      // Nothing can be written to /etc below a confext.
      await two.run(['systemd-confext', 'unmerge'])
      await two.run([SYSUPDATE, 'enable-feature', 'debug'])
      await two.run([SYSUPDATE, '--component-all', 'update'])
      const slots = ['ab_4_verity', 'ab_4', 'ab_2_verity', 'ab_2']
      expect(await versionsOf(two)).toEqual({
        running: '2',
        slots,
        ukis: ['ab_2.efi', 'ab_4+3-0.efi', 'ab_4.efi.extra.d'],
      })

      await using off = await two.powerOff()
      await using disk = await diskOf(off)
      const predicted = await (await predictorFor(off.spec))({ ...off.spec, image: disk.image })
      await using four = await off.restart()
      expect(await four.booted()).toBe('running')
      expect(differences(predicted, await logsOf(four))).toEqual([])
      expect((await four.run(['cat', '/proc/cmdline'])).stdout).toContain('bootwright.debug=1')
      expect(await extended(four)).toBe('tool 2, settings 2')
      await four.unitActive('systemd-bless-boot.service')
      await use(four)
      expect((await four.runUnchecked([SYSUPDATE, 'check-new'])).exitCode).toBe(1)

      // What it brought goes with the feature, and only that.
      await four.run(['systemd-confext', 'unmerge'])
      await four.run([SYSUPDATE, 'vacuum'])
      expect(await versionsOf(four)).toMatchObject({ ukis: ['ab_2.efi', 'ab_4.efi', 'ab_4.efi.extra.d'] })
      await four.run([SYSUPDATE, 'disable-feature', 'debug'])
      await four.run([SYSUPDATE, 'vacuum'])
      expect(await versionsOf(four)).toEqual({ running: '4', slots, ukis: ['ab_2.efi', 'ab_4.efi'] })
      expect((await four.runUnchecked([SYSUPDATE, 'check-new'])).exitCode).toBe(1)
    },
  )
})
