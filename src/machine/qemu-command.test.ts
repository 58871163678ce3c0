import { describe, expect, it } from 'vitest'
import { oemStrings, type QemuResources, qemuCommand } from './qemu-command.ts'
import { DEFAULT_SPEC, type MachineSpec } from './spec.ts'

const spec: MachineSpec = {
  ...DEFAULT_SPEC,
  image: { name: 'minimal', version: '1', diskPath: '/images/disk.raw' },
  firmware: { name: 'plain', codePath: '/ovmf/code.fd', variablesPath: '/ovmf/vars.fd', needsSmm: false },
  accelerator: 'tcg',
  uuid: '11111111-2222-4333-8444-555555555555',
}

const resources: QemuResources = {
  diskPaths: ['/state/disk.qcow2'],
  variablesPath: '/state/variables.fd',
  tapNames: ['tap0'],
  consoleLogPath: '/state/console.log',
  descriptors: { qmp: 3, console: 4, channel: 5, tpm: 6 },
  oemStrings: [],
  display: 'none',
  isIncoming: false,
}

/** Values of an option, in order. */
function values(argv: readonly string[], option: string): string[] {
  return argv.flatMap((word, index) => (word === option ? [argv[index + 1] ?? ''] : []))
}

describe('qemuCommand()', () => {
  it('starts with nothing of its own, and stopped', () => {
    const argv = qemuCommand(spec, resources)
    expect(argv.slice(0, 3)).toEqual(['qemu-system-x86_64', '-nodefaults', '-no-user-config'])
    expect(argv.at(-1)).toBe('-S')
    expect(values(argv, '-uuid')).toEqual([spec.uuid])
    expect(values(argv, '-m')).toEqual(['1024'])
    expect(values(argv, '-smp')).toEqual(['2'])
  })

  it('gives the firmware code read-only and the variables of this machine', () => {
    expect(values(qemuCommand(spec, resources), '-drive').slice(0, 2)).toEqual([
      'if=pflash,unit=0,format=raw,readonly=on,file=/ovmf/code.fd',
      'if=pflash,unit=1,format=raw,file=/state/variables.fd',
    ])
  })

  it('has the clock of the host, or the one that is given', () => {
    expect(values(qemuCommand(spec, resources), '-rtc')).toEqual(['base=utc,clock=host'])
    const later = qemuCommand(spec, { ...resources, clockBase: '2036-11-20T01:02:03' })
    expect(values(later, '-rtc')).toEqual(['base=2036-11-20T01:02:03,clock=host'])
  })

  it('never gives the disk of the image itself', () => {
    expect(qemuCommand(spec, resources).join(' ')).not.toContain(spec.image.diskPath)
  })

  it('has the order of devices from the spec, whatever the paths, descriptors and addresses', () => {
    const other: QemuResources = {
      ...resources,
      diskPaths: ['/elsewhere/a.qcow2'],
      variablesPath: '/elsewhere/b.fd',
      tapNames: ['tap7'],
      consoleLogPath: '/elsewhere/c.log',
      descriptors: { qmp: 13, console: 14, channel: 15, tpm: 16 },
    }
    const devices = values(qemuCommand(spec, resources), '-device')
    expect(values(qemuCommand(spec, other), '-device')).toEqual(devices)
    expect(devices.map((device) => device.split(',')[0])).toEqual([
      'virtio-blk-pci',
      'virtio-net-pci',
      'virtio-rng-pci',
      'vmgenid',
      'virtio-serial-pci',
      'virtserialport',
      'tpm-crb',
    ])
  })

  it('leaves channel and TPM out, and the devices before them where they were', () => {
    const descriptors = { qmp: 3, console: 4, channel: undefined, tpm: undefined }
    const bare = values(qemuCommand(spec, { ...resources, descriptors }), '-device')
    expect(bare).toEqual(values(qemuCommand(spec, resources), '-device').slice(0, 4))
  })

  it('puts a screen behind all other devices', () => {
    const argv = qemuCommand(spec, { ...resources, display: { vnc: 'unix:/state/a,b' } })
    expect(values(argv, '-device').at(-1)).toBe('VGA,romfile=')
    expect(values(argv, '-display')).toEqual(['vnc=unix:/state/a,,b'])
  })

  it('switches System Management Mode with the firmware', () => {
    const secure = qemuCommand({ ...spec, firmware: { ...spec.firmware, needsSmm: true } }, resources)
    expect(values(secure, '-machine')[0]).toContain('smm=on')
    expect(values(secure, '-global')).toEqual(['driver=cfi.pflash01,property=secure,value=on'])
    expect(values(qemuCommand(spec, resources), '-machine')[0]).toContain('smm=off')
    expect(values(qemuCommand(spec, resources), '-global')).toEqual([])
  })

  it('takes the processor of the accelerator', () => {
    expect(values(qemuCommand(spec, resources), '-cpu')).toEqual(['max'])
    const fast = qemuCommand({ ...spec, accelerator: 'kvm' }, resources)
    expect(values(fast, '-accel')).toEqual(['kvm'])
    expect(values(fast, '-cpu')).toEqual(['host'])
  })

  it('doubles the commas of every path and name', () => {
    const argv = qemuCommand(
      {
        ...spec,
        image: { ...spec.image, name: 'a,b' },
        firmware: { ...spec.firmware, codePath: '/o,vmf/code.fd' },
      },
      {
        ...resources,
        diskPaths: ['/s,tate/disk'],
        variablesPath: '/s,tate/variables',
        consoleLogPath: '/s,tate/console',
      },
    )
    expect(values(argv, '-name')).toEqual(['guest=a,,b,debug-threads=on'])
    expect(values(argv, '-drive').map((drive) => drive.split('file=')[1])).toEqual([
      '/o,,vmf/code.fd',
      '/s,,tate/variables',
      '/s,,tate/disk',
    ])
    expect(values(argv, '-chardev')[1]).toContain('logfile=/s,,tate/console,logappend=on')
  })

  it('writes SMBIOS structures by type, then the strings of type 11 in their order', () => {
    const argv = qemuCommand(
      {
        ...spec,
        smbios: {
          chassis: { manufacturer: 'C', assetTag: 'tag' },
          baseboard: { product: 'board' },
          system: { manufacturer: 'Acme, Inc.', productName: 'm1', uuid: 'not here: it is -uuid' },
          bios: { vendor: 'V', releaseDate: '10/16/2017' },
        },
      },
      { ...resources, oemStrings: ['second=1,2', 'first=3'] },
    )
    expect(values(argv, '-smbios')).toEqual([
      'type=0,vendor=V,date=10/16/2017',
      'type=1,manufacturer=Acme,, Inc.,product=m1',
      'type=2,product=board',
      'type=3,manufacturer=C,asset=tag',
      'type=11,value=second=1,,2',
      'type=11,value=first=3',
    ])
  })

  it("writes no structure without a field: QEMU's own stays", () => {
    expect(values(qemuCommand({ ...spec, smbios: { system: {} } }, resources), '-smbios')).toEqual([])
  })
})

describe('oemStrings()', () => {
  it('carries credentials as bytes in the order given, the command line last', () => {
    expect(oemStrings({ b: 'text', a: Uint8Array.of(0, 255) }, ['x=1', 'quiet'])).toEqual([
      'io.systemd.credential.binary:b=dGV4dA==',
      'io.systemd.credential.binary:a=AP8=',
      'io.systemd.stub.kernel-cmdline-extra=x=1 quiet',
    ])
  })

  it('says nothing about a command line that has no words', () => {
    expect(oemStrings({}, [])).toEqual([])
  })

  it.for(['', '.', '..', 'a/b', 'a:b', 'a=b', 'a\nb', 'a\0b', 'x'.repeat(256)])(
    'rejects %j as the name of a credential',
    (name) => {
      expect(() => oemStrings({ [name]: '' }, [])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    },
  )

  it.for(['systemd.extra-unit.x.service', 'x'.repeat(255), 'ü', '...'])(
    'takes %j as the name of a credential',
    (name) => {
      expect(oemStrings({ [name]: '' }, [])).toEqual([`io.systemd.credential.binary:${name}=`])
    },
  )

  it.for(['a\nb', 'a\0'])('rejects %j on the command line: it is one line', (word) => {
    expect(() => oemStrings({}, [word])).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})
