import { describe, expect, it } from 'vitest'
import { diskOf, newcArchive, seededRandom } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import {
  bootDisk,
  machineWith,
  OS_RELEASE,
  peFile,
  ROOT_WORD,
  smbiosTable,
  UUID,
  uki,
} from './boot-disk.test-support.ts'
import { BOOT, behindLoader, digestOf, find, names, predict, sha256, u16z, words } from './predict-boot.test-support.ts'

describe('predictBoot() of a UKI that the firmware starts', () => {
  const machine = machineWith({ esp: { [BOOT]: uki() }, root: 'ext4' }, { strings: ['one', 'two'] })
  const { events, started, commandLine, systemdVersion } = predict(machine)

  it('starts it with the command line that it has', () => {
    expect(started).toEqual([BOOT])
    expect(commandLine).toBe('console=ttyS0 quiet')
    expect(systemdVersion).toBe(262)
    expect(names(events, 12)).toEqual([])
    expect(digestOf(find(events, 'load options of the kernel'))).toBe(sha256(u16z('console=ttyS0 quiet')))
  })

  it('measures the machine into PCR 1 without the reason of its waking up', () => {
    expect(names(events, 1)).toEqual(['smbios:type1', 'smbios:type11'])
    const system = smbiosTable().subarray(0, 29)
    expect(system[24]).toBe(6)
    system[24] = 0
    expect(digestOf(find(events, 'smbios:type1'))).toBe(sha256(system))
  })

  it('combines the initrd and the files that the stub makes, each padded', () => {
    const osRelease = newcArchive({ directory: '.extra', directoryMode: 0o555, fileMode: 0o444 }, [
      { name: 'os-release', content: Buffer.from(OS_RELEASE) },
    ])
    expect(digestOf(find(events, 'initrd'))).toBe(sha256(Buffer.concat([Buffer.from('INITRD!\0'), osRelease])))
  })

  it('names system, root file system and phases', () => {
    expect(words(events, 15)).toEqual([`machine-id:${UUID.replaceAll('-', '')}`, ROOT_WORD])
    expect(words(events, 11)).toEqual(['enter-initrd', 'leave-initrd', 'sysinit', 'ready'])
    for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14]) expect(words(events, pcr)).toEqual(['os-separator'])
    expect(words(events, 9)).toEqual(['os-separator', 'nvpcr-separator'])
  })

  it('takes a stored machine ID, and one from the command line before it', () => {
    const stored = '0123456789abcdef0123456789abcdef'
    expect(words(predict(machine, { machineId: stored }).events, 15)[0]).toBe(`machine-id:${stored}`)
    const asked = machineWith({ esp: { [BOOT]: uki({ commandLine: 'systemd.machine_id=firmware' }) } })
    expect(words(predict(asked, { machineId: stored }).events, 15)).toEqual([`machine-id:${UUID.replaceAll('-', '')}`])
  })

  it('measures user data of a cloud, of which the beginning is shown', () => {
    const userData = Buffer.alloc(300, 'x')
    const word = words(predict(machine, { userData }).events, 12)[1]
    expect(word).toBe(`imds-userdata:${sha256(userData)}:${Buffer.alloc(256, 'x').toString('base64')}`)
    expect(words(predict(machine, { userData: Buffer.of() }).events, 12)).toEqual(['os-separator'])
  })

  it.for<['luks' | 'nothing', string[]]>([
    [
      'luks',
      ['key of the root volume: it is a secret of the volume', 'root file system: it lies on an encrypted volume'],
    ],
    ['nothing', ['root file system: the format of partition 2 is not known']],
  ])('says what cannot be known of a root partition with %s', ([root, expected]) => {
    const { events } = predict(machineWith({ esp: { [BOOT]: uki() }, root }))
    const unknown = events.flatMap(({ pcr, what, measured }) =>
      measured.kind === 'unknown' ? [`${pcr} ${what}: ${measured.why}`] : [],
    )
    expect(unknown).toEqual(expected.map((text) => `15 ${text}`))
  })

  it('takes load options of the boot variable instead of the own command line, and measures them', () => {
    const start = { path: '\\EFI\\x.efi', loadOptions: '  a\tb  c \0' }
    const { events, commandLine } = predict(machineWith({ esp: { 'EFI/x.efi': uki() } }, { start }))
    expect(commandLine).toBe('console=ttyS0 quiet')
    const text = { ...start, loadOptions: ' console=x  c \0ignored' }
    const second = predict(machineWith({ esp: { 'EFI/x.efi': uki() } }, { start: text }))
    expect(names(events, 12)).toEqual([])
    expect(second.commandLine).toBe('console=x  c')
    expect(names(second.events, 12)).toEqual(['command line from the load options'])
    const secure = predict(machineWith({ esp: { 'EFI/x.efi': uki() } }, { start: text, isSecureBootEnabled: true }))
    expect(secure.commandLine).toBe('console=ttyS0 quiet')
    expect(names(secure.events, 12)).toEqual([])
  })

  it('appends what the machine says, unless it is confidential', () => {
    const strings = ['io.systemd.stub.kernel-cmdline-extra= a  b ', 'io.systemd.stub.kernel-cmdline-extra=second']
    const shape = { esp: { [BOOT]: uki() } }
    const { events, commandLine } = predict(machineWith(shape, { strings }))
    expect(commandLine).toBe('console=ttyS0 quiet a  b')
    expect(digestOf(find(events, 'command line of the machine'))).toBe(sha256(u16z('a  b')))
    expect(predict(machineWith(shape, { strings, isConfidential: true })).commandLine).toBe('console=ttyS0 quiet')
  })

  it('measures nothing of the system where the command line says so', () => {
    const off = predict(machineWith({ esp: { [BOOT]: uki({ commandLine: 'systemd.tpm2_measured_os=no' }) } }))
    expect(off.events.filter(({ type }) => type === 'word')).toEqual([])
  })

  it('finds nothing to start on a disk without it', () => {
    expect(() => predict(machineWith({ esp: { 'EFI/other.efi': uki() } }))).toThrow(
      expect.objectContaining({ code: 'IMAGE_INCOMPLETE' }),
    )
  })

  it('says of another boot loader that nothing is known behind it', () => {
    const { events, commandLine } = predict(machineWith({ esp: { [BOOT]: peFile([['.text', 'grub']]) } }))
    expect(commandLine).toBeUndefined()
    expect(names(events, 4)).toEqual([`image ${BOOT}`])
    expect(events.filter(({ measured }) => measured.kind === 'unknown').map(({ pcr }) => pcr)).toEqual([
      4, 5, 8, 9, 11, 12, 13, 14, 15,
    ])
  })
})

describe('predictBoot() of older systemd', () => {
  const of = (version: number) =>
    predict(machineWith({ esp: { [BOOT]: uki({ version, more: [['.hwids', 'x']] }) } })).events

  it.for<[number, number[]]>([
    [262, [1, 9, 11]],
    [260, [9, 11]],
    [258, [11]],
  ])('version %i measures in these PCRs besides the image: %j', ([version, expected]) => {
    const events = of(version)
    const pcrs = [1, 9, 11].filter((pcr) => (pcr === 9 ? words(events, 9) : names(events, pcr)).length > 0)
    expect(pcrs).toEqual(expected)
    expect(words(events, 0)).toEqual(version >= 261 ? ['os-separator'] : [])
  })

  it('starts the kernel through the firmware before 258, and knows fewer sections before 257', () => {
    const kernel = peFile([['.text', 'kernel']])
    const old = (version: number) =>
      predict(
        machineWith({
          esp: {
            [BOOT]: peFile([
              ['.sdmagic', `#### LoaderInfo: systemd-stub ${version} ####`],
              ['.osrel', OS_RELEASE],
              ['.linux', kernel],
              ['.hwids', 'x'],
            ]),
          },
        }),
      ).events
    expect(names(old(257), 4)).toEqual([`image ${BOOT}`, `image .linux of ${BOOT}`])
    expect(names(old(258), 4)).toEqual([`image ${BOOT}`])
    expect(names(old(257), 11)).toContain('name of section .hwids')
    expect(names(old(256), 11)).not.toContain('name of section .hwids')
  })
})

it('predictBoot() of damaged disks predicts, or says what it cannot read', () => {
  const files = behindLoader({
    'EFI/Linux/a+2.efi': uki({ more: [['.profile', 'ID=main\n']] }),
    'EFI/Linux/b.efi': uki(),
    'EFI/Linux/b.efi.extra.d/x.cred': 'x',
    'loader/addons/a.addon.efi': peFile([['.cmdline', 'addon']]),
    'loader/entries/x.conf': 'title x\nuki /EFI/Linux/b.efi\noptions a\nsort-key a\n',
  })
  const disk = bootDisk({ ...files, root: 'ext4' })
  const machine = machineWith({ esp: {} })
  const random = seededRandom(1)
  const outcomes = new Map<string, number>()
  // What is used lies in the first sectors of the only FAT, its root directory, and the clusters behind it.
  const used = 34 * 512 + 90_000
  for (let round = 0; round < 400; round++) {
    const copy = Buffer.from(disk)
    for (let flips = 0; flips < 12; flips++) {
      // The GPT has check sums: damage there ends every prediction at once.
      copy[34 * 512 + Math.floor(random() * (used - 34 * 512))] = Math.floor(random() * 256)
    }
    let outcome = 'predicted'
    try {
      predict({ ...machine, disk: diskOf(copy) })
    } catch (error) {
      if (!(error instanceof BootwrightError)) throw error
      outcome = error.code
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  expect([...outcomes.keys()].sort()).toEqual(['IMAGE_INCOMPLETE', 'MALFORMED_INPUT', 'predicted'])
})
