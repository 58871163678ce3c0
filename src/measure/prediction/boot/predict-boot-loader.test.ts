import { describe, expect, it } from 'vitest'
import { machineWith, OS_RELEASE, peFile, uki } from './boot-disk.test-support.ts'
import { BOOT, behindLoader, digestOf, find, names, predict, sha256, u16z, words } from './predict-boot.test-support.ts'

describe('predictBoot() through systemd-boot', () => {
  it('measures loader.conf and the machine before it starts the newest entry', () => {
    const files = behindLoader({
      'EFI/Linux/a_9.efi': uki({ osRelease: OS_RELEASE.replace('VERSION=1', 'VERSION=9') }),
      'EFI/Linux/a_10.efi': uki({ osRelease: OS_RELEASE.replace('VERSION=1', 'VERSION=10') }),
    })
    const { events, started } = predict(machineWith(files))
    expect(started).toEqual([BOOT, 'EFI/Linux/a_10.efi'])
    expect(names(events, 5)).toEqual([
      'partition table 00000000-0000-0000-0000-000000000000',
      'file loader/loader.conf',
      'Exit Boot Services Invocation',
      'Exit Boot Services Returned with Failure',
      'Exit Boot Services Invocation',
      'Exit Boot Services Returned with Success',
    ])
    expect(digestOf(find(events, 'file loader/loader.conf'))).toBe(sha256('timeout 0\n'))
    // The stub sees that this is done.
    expect(names(events, 1)).toEqual(['smbios:type1'])
    expect(names(events, 12)).toEqual([])
  })

  it('takes extras of the file name without its boot counter', () => {
    const files = behindLoader({
      'EFI/Linux/a+3-1.efi': uki(),
      'EFI/Linux/a.efi.extra.d/x.cred': 'x',
    })
    expect(names(predict(machineWith(files)).events, 12)).toEqual(['Credentials initrd: x.cred'])
  })

  it('looks on the extended boot partition too, and takes sidecars from there', () => {
    const { started, events } = predict(
      machineWith({
        ...behindLoader({ 'loader/credentials/esp.cred': 'not this one' }),
        xbootldr: { 'EFI/Linux/b.efi': uki(), 'loader/credentials/x.cred': 'x' },
      }),
    )
    expect(started).toEqual([BOOT, 'EFI/Linux/b.efi'])
    expect(names(events, 12)).toEqual(['Global credentials initrd: x.cred'])
  })

  it('starts a profile of a UKI with its prefix, which the stub takes off again', () => {
    const profiles = uki({
      more: [
        ['.profile', 'ID=main\n'],
        ['.profile', 'ID=debug\nTITLE=Debug\n'],
        ['.cmdline', 'debug'],
      ],
    })
    const files = behindLoader({ 'EFI/Linux/a.efi': profiles }, 'default a.efi@debug\n')
    const { events, commandLine } = predict(machineWith(files))
    expect(commandLine).toBe('debug console=uart,io,0x3f8')
    expect(names(events, 12)).toEqual(['load options of EFI/Linux/a.efi', 'profile 1'])
    expect(digestOf(find(events, 'load options of EFI/Linux/a.efi'))).toBe(sha256(u16z('@1')))
    expect(digestOf(find(events, 'profile 1'))).toBe(sha256(u16z('1')))
    expect(digestOf(find(events, 'section .cmdline of EFI/Linux/a.efi'))).toBe(sha256('debug'))
    expect(predict(machineWith(behindLoader({ 'EFI/Linux/a.efi': profiles }))).commandLine).toBe('console=ttyS0 quiet')
  })

  it('gives options of a Type #1 entry to the UKI, with extras', () => {
    const files = behindLoader({
      'loader/entries/x.conf':
        'title x\nuki /x/x.efi\noptions  a\noptions b\nextra /x/k.cred\nextra /x/e.sysext.raw\nprofile 0\n',
      'x/x.efi': uki(),
      'x/k.cred': 'secret',
      'x/e.sysext.raw': 'extension',
    })
    const { events, started, commandLine } = predict(machineWith(files))
    expect(started).toEqual([BOOT, 'x/x.efi'])
    expect(commandLine).toBe('a b console=uart,io,0x3f8')
    expect(names(events, 12)).toEqual([
      'Entry credentials initrd',
      'load options of x/x.efi',
      'command line from the load options',
    ])
    expect(names(events, 13)).toEqual(['Entry system extension initrd'])
    expect(digestOf(find(events, 'load options of x/x.efi'))).toBe(sha256(u16z('a b')))
  })

  it('starts a kernel that is no UKI: nothing in PCR 11, and systemd measures nothing', () => {
    const files = behindLoader({
      'loader/entries/x.conf': 'linux /linux\ninitrd /one\ninitrd /two\noptions quiet\n',
      linux: peFile([['.text', 'kernel']]),
      one: 'first',
      two: 'second',
    })
    const { events, commandLine } = predict(machineWith(files))
    expect(commandLine).toBe('initrd=\\one initrd=\\two quiet')
    expect(digestOf(find(events, 'initrd'))).toBe(sha256('first\0\0\0second\0\0'))
    expect(events.filter(({ pcr, type }) => pcr === 11 || type === 'word')).toEqual([])
    const measured = behindLoader({
      ...files.esp,
      'loader/entries/x.conf': 'linux /linux\noptions systemd.tpm2_measured_os=1',
    })
    expect(words(predict(machineWith(measured)).events, 11)).toHaveLength(4)
  })

  it('takes entries that the machine brings', () => {
    const strings = ['io.systemd.boot.entries-extra:zz.conf=uki /x.efi\noptions from-smbios']
    const files = behindLoader({ 'x.efi': uki() })
    expect(predict(machineWith(files, { strings })).commandLine).toBe('from-smbios console=uart,io,0x3f8')
    expect(() => predict(machineWith(files))).toThrow('finds no entry')
  })

  it('loads drivers into PCR 2', () => {
    const files = behindLoader({
      'EFI/Linux/a.efi': uki(),
      'EFI/systemd/drivers/fsx64.efi': peFile([['.text', 'driver']], 11),
      'EFI/systemd/drivers/fsaa64.efi': peFile([['.text', 'driver']], 11),
    })
    expect(names(predict(machineWith(files)).events, 2)).toEqual(['image EFI/systemd/drivers/fsx64.efi'])
  })
})
