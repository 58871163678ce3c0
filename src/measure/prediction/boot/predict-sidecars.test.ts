import { describe, expect, it } from 'vitest'
import { newcArchive } from '../../../formats/index.ts'
import { type Files, machineWith, OS_RELEASE, peFile, uki } from './boot-disk.test-support.ts'
import { BOOT, digestOf, find, names, predict, sha256, u16z } from './predict-boot.test-support.ts'

describe('predictBoot() of what lies beside a UKI', () => {
  const addon = (commandLine: string, more: [string, string][] = []): Buffer =>
    peFile([['.sdmagic', 'addon'], ['.cmdline', commandLine], ...more])
  const extra = 'EFI/BOOT/BOOTX64.EFI.extra.d'
  const files: Files = {
    [BOOT]: uki(),
    'loader/addons/b.addon.efi': addon(' glob=2\n', [['.ucode', 'first']]),
    'loader/addons/A.ADDON.EFI': addon('glob=1'),
    'loader/addons/.hidden.addon.efi': addon('hidden'),
    'loader/addons/broken.addon.efi': 'no PE file',
    'loader/addons/kernel.addon.efi': uki({ commandLine: 'kernel' }),
    'loader/addons/other.addon.efi': addon('other', [['.uname', '6.0']]),
    [`${extra}/own.addon.efi`]: addon('own', [
      ['.uname', '7.2.0'],
      ['.initrd', 'more'],
      ['.ucode', 'ucode'],
    ]),
    [`${extra}/b.cred`]: 'bb',
    [`${extra}/a.cred`]: 'a',
    [`${extra}/x.confext.raw`]: 'confext',
    [`${extra}/x.raw`]: 'sysext',
    'loader/credentials/g.CRED': 'global',
    'loader/extensions/y.sysext.raw': 'global sysext',
    'loader/extensions/größe.raw': 'not ASCII',
  }
  const { events, images, commandLine } = predict(
    machineWith({ esp: files }, { strings: ['io.systemd.stub.kernel-cmdline-extra=smb'] }),
  )

  it('loads addons for all, then its own, each an image', () => {
    expect(images.map(({ name }) => `image ${name}`)).toEqual(names(events, 4))
    expect(names(events, 4)).toEqual([
      `image ${BOOT}`,
      'image loader/addons/A.ADDON.EFI',
      'image loader/addons/b.addon.efi',
      'image loader/addons/kernel.addon.efi',
      'image loader/addons/other.addon.efi',
      `image ${extra}/own.addon.efi`,
    ])
    expect(commandLine).toBe('console=ttyS0 quiet glob=1 glob=2 own smb')
  })

  it('goes on without one that the firmware does not let pass', () => {
    const isTrusted = ({ name }: { name: string }): boolean => name !== 'loader/addons/b.addon.efi'
    const without = predict({ ...machineWith({ esp: files }), isTrusted })
    expect(without.commandLine).toBe('console=ttyS0 quiet glob=1 own')
    const left = names(events, 4).filter((name) => name !== 'image loader/addons/b.addon.efi')
    expect(names(without.events, 4)).toEqual(left)
    expect(names(without.events, 12)).not.toContain('microcode of addon b.addon.efi')
    // It was judged all the same, which may leave a record.
    expect(without.images).toHaveLength(images.length)
  })

  it('measures them in the order of the stub', () => {
    expect(names(events, 12)).toEqual([
      'command line of addons',
      'command line of the machine',
      'Credentials initrd: a.cred, b.cred',
      'Global credentials initrd: g.CRED',
      'Configuration extension initrd: x.confext.raw',
      'microcode of addon own.addon.efi',
      'microcode of addon b.addon.efi',
      'initrd of addon own.addon.efi',
    ])
    expect(names(events, 13)).toEqual([
      'System extension initrd: x.raw',
      'Global system extension initrd: y.sysext.raw',
    ])
    expect(digestOf(find(events, 'command line of addons'))).toBe(sha256(u16z('glob=1 glob=2 own')))
  })

  it('hands them over between the initrd and what addons bring', () => {
    const archive = (name: string, mode: number, fileMode: number, ...content: [string, string][]): Uint8Array =>
      newcArchive(
        { directory: `.extra${name}`, directoryMode: mode, fileMode },
        content.map(([file, text]) => ({ name: file, content: Buffer.from(text) })),
      )
    const credentials = archive('/credentials', 0o500, 0o400, ['a.cred', 'a'], ['b.cred', 'bb'])
    expect(digestOf(find(events, 'Credentials initrd: a.cred, b.cred'))).toBe(sha256(credentials))
    const parts = [
      Buffer.from('ucode\0\0\0'),
      Buffer.from('first\0\0\0'),
      Buffer.from('INITRD!\0'),
      credentials,
      archive('/global_credentials', 0o500, 0o400, ['g.CRED', 'global']),
      archive('/sysext', 0o555, 0o444, ['x.raw', 'sysext']),
      archive('/global_sysext', 0o555, 0o444, ['y.sysext.raw', 'global sysext']),
      archive('/confext', 0o555, 0o444, ['x.confext.raw', 'confext']),
      archive('', 0o555, 0o444, ['os-release', OS_RELEASE]),
      Buffer.from('more'),
    ]
    expect(digestOf(find(events, 'initrd'))).toBe(sha256(Buffer.concat(parts)))
  })

  it('moves with each of them just the records that have it', () => {
    const changed = (path: string, content: Uint8Array | string): string[] => {
      const after = predict(
        machineWith({ esp: { ...files, [path]: content } }, { strings: ['io.systemd.stub.kernel-cmdline-extra=smb'] }),
      ).events
      return events.flatMap((event, index) => {
        const other = after[index]
        return other !== undefined && digestOf(other) === digestOf(event) ? [] : [`${event.pcr} ${event.what}`]
      })
    }
    expect(changed(`${extra}/a.cred`, 'b')).toEqual(['12 Credentials initrd: a.cred, b.cred', '9 initrd'])
    expect(changed('loader/extensions/y.sysext.raw', 'x')).toEqual([
      '13 Global system extension initrd: y.sysext.raw',
      '9 initrd',
    ])
    expect(changed('loader/addons/b.addon.efi', addon('glob=3', [['.ucode', 'first']]))).toEqual([
      '4 image loader/addons/b.addon.efi',
      '12 command line of addons',
      '9 load options of the kernel',
    ])
    expect(changed('loader/addons/other.addon.efi', addon('changed', [['.uname', '6.0']]))).toEqual([
      '4 image loader/addons/other.addon.efi',
    ])
    expect(changed('loader/extensions/größe.raw', 'x')).toEqual([])
  })
})
