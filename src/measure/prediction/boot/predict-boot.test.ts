import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { diskOf, newcArchive, seededRandom } from '../../../formats/index.ts'
import { BootwrightError } from '../../../system/index.ts'
import { type BootedSystem, type BootMachine, digestsOf, predictBoot } from '../../index.ts'
import type { PredictedEvent } from '../event.ts'
import {
  bootDisk,
  type Files,
  loader,
  loaderVariable,
  machineWith,
  OS_RELEASE,
  peFile,
  ROOT_WORD,
  smbiosTable,
  UUID,
  uki,
} from './boot-disk.test-support.ts'

const BOOT = 'EFI/BOOT/BOOTX64.EFI'
const u16z = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

function digestOf({ measured }: PredictedEvent): string {
  if (measured.kind === 'unknown') return `unknown: ${measured.why}`
  if (measured.kind === 'digests') return measured.digests.get('sha256') ?? ''
  return Buffer.from(digestsOf(['sha256'], measured.bytes).get('sha256') ?? Buffer.of()).toString('hex')
}

const predict = (machine: BootMachine, system: BootedSystem = {}) => predictBoot({ machine, system, banks: ['sha256'] })

/** Names of what is measured into a PCR, without what systemd measures once it runs. */
function names(events: readonly PredictedEvent[], pcr: number): string[] {
  return events.filter((event) => event.pcr === pcr && event.type !== 'word').map(({ what }) => what)
}

function words(events: readonly PredictedEvent[], pcr: number): string[] {
  return events
    .filter((event) => event.pcr === pcr && event.type === 'word')
    .map(({ measured }) => (measured.kind === 'bytes' ? Buffer.from(measured.bytes).toString() : measured.kind))
}

function find(events: readonly PredictedEvent[], what: string): PredictedEvent {
  const found = events.find((event) => event.what === what)
  if (found === undefined) throw new Error(`no "${what}" among: ${events.map((event) => event.what).join(', ')}`)
  return found
}

const behindLoader = (files: Files, conf = 'timeout 0\n'): { esp: Files } => ({
  esp: { [BOOT]: loader(), 'loader/loader.conf': conf, ...files },
})

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

describe('the boot secret', () => {
  const secret = Buffer.alloc(32, 1)
  const mixin = Buffer.alloc(32, 2)
  const files = { esp: { [BOOT]: uki(), 'loader/boot-secret-mixin': mixin } }
  const initrd = (machine: BootMachine): string => digestOf(find(predict(machine).events, 'initrd'))
  const variables = [loaderVariable('LoaderBootSecret', secret)]
  const withoutSecret = initrd(machineWith(files))

  it('is in the initrd once the variable store and the ESP have their parts of it', () => {
    const known = initrd(machineWith(files, { offersRandomSeed: true, variables }))
    expect(known).toMatch(/^[0-9a-f]{64}$/)
    expect(known).not.toBe(withoutSecret)
    const id = Buffer.from('test')
    const derived = createHash('sha256')
      .update('systemd-stub derive secret label v1')
      .update(secret)
      .update(mixin)
      .update(Buffer.from('0400000000000000', 'hex'))
      .update(id)
      .digest()
    expect(initrd(machineWith(files, { bootSecret: derived }))).toBe(known)
  })

  it('cannot be known before the stub has made it', () => {
    expect(initrd(machineWith(files, { offersRandomSeed: true }))).toContain('makes up LoaderBootSecret')
    const fresh = { esp: { [BOOT]: uki() } }
    expect(initrd(machineWith(fresh, { offersRandomSeed: true, variables }))).toContain(
      'makes up loader/boot-secret-mixin',
    )
  })

  it('is not made without a random seed, and not taken from a variable that the system can read', () => {
    expect(initrd(machineWith(files, { variables }))).toBe(withoutSecret)
    const readable = [loaderVariable('LoaderBootSecret', secret, 7)]
    expect(initrd(machineWith(files, { offersRandomSeed: true, variables: readable }))).toBe(withoutSecret)
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
