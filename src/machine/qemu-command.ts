import type { SmbiosIdentity } from '../formats/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { MachineSpec } from './spec.ts'

/** Files and inherited descriptors of one power-on. */
export interface QemuResources {
  /** The disk of the image, then those of {@link MachineSpec.disks}. */
  readonly diskPaths: readonly string[]
  readonly variablesPath: string
  /** For the first card, then for those of {@link MachineSpec.furtherMacAddresses}. */
  readonly tapNames: readonly string[]
  readonly consoleLogPath: string
  /** Connected UNIX sockets, inherited from us. */
  readonly descriptors: {
    readonly qmp: number
    readonly console: number
    readonly channel: number | undefined
    readonly tpm: number | undefined
  }
  /** Strings of SMBIOS type 11, in order. */
  readonly oemStrings: readonly string[]
  readonly display: { readonly vnc: string } | 'none'
  /** UTC that its clock shows when it is started, as `YYYY-MM-DDThh:mm:ss`; that of the host when absent. */
  readonly clockBase?: string
  /** Waits for memory and device state to be read, instead of starting with its firmware. */
  readonly isIncoming: boolean
}

/** The disk that the machine starts from: its node in QEMU's block graph, and the device that the guest sees. */
export const SYSTEM_DISK = { node: 'disk-image', device: 'disk-device' } as const

/** The backend of the machine's network card. */
export const NETWORK_BACKEND = 'net'

/** Name of the virtio-serial port of the guest channel, as in `/sys/class/virtio-ports/<port>/name`. */
export const CHANNEL_PORT = 'bootwright.channel'

/** That port's device in QEMU, as in its events. */
export const CHANNEL_DEVICE = 'channel'

/**
 * The QEMU command line of a machine: q35, OVMF, virtio. The order of devices decides their PCI slots and so what the
 * firmware measures: it depends on the spec alone.
 */
export function qemuCommand(spec: MachineSpec, resources: QemuResources): string[] {
  const { descriptors } = resources
  // biome-ignore format: an option and its value on one line
  return [
    'qemu-system-x86_64',
    '-nodefaults',
    '-no-user-config',
    '-name', `guest=${doubleCommas(spec.image.name)},debug-threads=on`,
    '-machine', `q35,smm=${spec.firmware.needsSmm ? 'on' : 'off'},hpet=off,vmport=off`,
    '-accel', spec.accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi,tb-size=512',
    '-cpu', spec.accelerator === 'kvm' ? 'host' : 'max',
    '-smp', String(spec.cores),
    '-m', String(spec.memoryMiB),
    '-uuid', spec.uuid,
    '-rtc', `base=${resources.clockBase ?? 'utc'},clock=host`,
    '-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${doubleCommas(spec.firmware.codePath)}`,
    '-drive', `if=pflash,unit=1,format=raw,file=${doubleCommas(resources.variablesPath)}`,
    ...(spec.firmware.needsSmm ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),

    '-chardev', `socket,id=qmp,fd=${descriptors.qmp}`,
    '-mon', 'chardev=qmp,mode=control',
    '-chardev', `socket,id=console,fd=${descriptors.console},logfile=${doubleCommas(resources.consoleLogPath)},logappend=on`,
    '-serial', 'chardev:console',

    '-drive', `if=none,id=disk,node-name=${SYSTEM_DISK.node},format=qcow2,discard=unmap,file=${doubleCommas(resources.diskPaths[0] ?? '')}`,
    '-device', `virtio-blk-pci,id=${SYSTEM_DISK.device},drive=disk,bootindex=1`,
    ...networkCard(NETWORK_BACKEND, spec.macAddress, resources.tapNames[0]),
    '-device', 'virtio-rng-pci',
    '-device', `vmgenid,guid=${spec.generationId}`,
    ...channelArguments(descriptors.channel),
    ...tpmArguments(descriptors.tpm),
    // Behind everything that each machine has: the others keep their slots.
    ...(spec.disks ?? []).flatMap(({ name }, index) => extraDisk(name, resources.diskPaths[index + 1])),
    ...(spec.furtherMacAddresses ?? []).flatMap((address, index) =>
      networkCard(`${NETWORK_BACKEND}-${index + 2}`, address, resources.tapNames[index + 1])),
    // Its option ROM is for a BIOS; without it the screen leaves PCR 2 alone.
    ...(resources.display === 'none' && spec.screen !== true ? [] : ['-device', 'VGA,romfile=']),
    '-display', resources.display === 'none' ? 'none' : `vnc=${doubleCommas(resources.display.vnc)}`,
    ...smbiosArguments(spec.smbios, resources.oemStrings),
    // Nothing runs until everything that listens is connected.
    '-S',
    ...(resources.isIncoming ? ['-incoming', 'defer'] : []),
  ]
}

function networkCard(backend: string, macAddress: string, tapName: string | undefined): string[] {
  // biome-ignore format: an option and its value on one line
  return [
    '-netdev', `tap,id=${backend},ifname=${tapName},script=no,downscript=no`,
    // Without its option ROM the network card leaves PCR 2 alone.
    '-device', `virtio-net-pci,netdev=${backend},mac=${macAddress},romfile=`,
  ]
}

function extraDisk(name: string, path: string | undefined): string[] {
  // biome-ignore format: an option and its value on one line
  return [
    '-drive', `if=none,id=disk-${name},format=qcow2,discard=unmap,file=${doubleCommas(path ?? '')}`,
    '-device', `virtio-blk-pci,drive=disk-${name},serial=${name}`,
  ]
}

function channelArguments(descriptor: number | undefined): string[] {
  if (descriptor === undefined) return []
  // biome-ignore format: an option and its value on one line
  return [
    '-device', 'virtio-serial-pci',
    '-chardev', `socket,id=channel,fd=${descriptor}`,
    '-device', `virtserialport,chardev=channel,name=${CHANNEL_PORT},id=${CHANNEL_DEVICE}`,
  ]
}

function tpmArguments(descriptor: number | undefined): string[] {
  if (descriptor === undefined) return []
  // biome-ignore format: an option and its value on one line
  return [
    '-chardev', `socket,id=tpm,fd=${descriptor}`,
    '-tpmdev', 'emulator,id=tpm,chardev=tpm',
    '-device', 'tpm-crb,tpmdev=tpm',
  ]
}

/** Strings of SMBIOS type 11 that carry a machine's credentials and its extra kernel command line. */
export function oemStrings(
  credentials: Readonly<Record<string, string | Uint8Array>>,
  kernelCommandLineExtra: readonly string[],
): string[] {
  const strings = Object.entries(credentials).map(([name, value]) => {
    // systemd's credential_name_valid(): a file name of at most 255 characters.
    if (!/^[^/\p{Cc}:=]{1,255}$/u.test(name) || name === '.' || name === '..') {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected a credential name, found ${JSON.stringify(name)}`, {
        hint: 'A credential name is a file name without "/", ":", "=" and control characters.',
      })
    }
    return `io.systemd.credential.binary:${name}=${Buffer.from(value).toString('base64')}`
  })
  for (const word of kernelCommandLineExtra) {
    if (!/\p{Cc}/u.test(word)) continue
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected a word of a kernel command line, found ${JSON.stringify(word)} with control characters`,
    )
  }
  if (kernelCommandLineExtra.length > 0) {
    strings.push(`io.systemd.stub.kernel-cmdline-extra=${kernelCommandLineExtra.join(' ')}`)
  }
  return strings
}

function smbiosArguments(smbios: MachineSpec['smbios'], strings: readonly string[]): string[] {
  const { bios, system, baseboard, chassis } = smbios
  // biome-ignore format: one structure a block
  const structures = [
    structure(0, [['vendor', bios?.vendor], ['version', bios?.version], ['date', bios?.releaseDate]]),
    structure(1, systemFields(system)),
    structure(2, [
      ['manufacturer', baseboard?.manufacturer], ['product', baseboard?.product], ['version', baseboard?.version],
      ['serial', baseboard?.serialNumber], ['asset', baseboard?.assetTag],
    ]),
    structure(3, [
      ['manufacturer', chassis?.manufacturer], ['version', chassis?.version],
      ['serial', chassis?.serialNumber], ['asset', chassis?.assetTag],
    ]),
  ]
  return [
    ...structures.flatMap((text) => (text === undefined ? [] : ['-smbios', text])),
    ...strings.flatMap((value) => ['-smbios', `type=11,value=${doubleCommas(value)}`]),
  ]
}

/** The UUID of the system structure is `-uuid`, which other parts of QEMU use too. */
function systemFields(system: Partial<SmbiosIdentity['system']> | undefined): [string, string | undefined][] {
  return [
    ['manufacturer', system?.manufacturer],
    ['product', system?.productName],
    ['version', system?.version],
    ['serial', system?.serialNumber],
    ['sku', system?.skuNumber],
    ['family', system?.family],
  ]
}

function structure(type: number, fields: readonly (readonly [string, string | undefined])[]): string | undefined {
  const present = fields.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${doubleCommas(value)}`]))
  return present.length === 0 ? undefined : [`type=${type}`, ...present].join(',')
}

/** A value of QEMU's option lists: a comma inside is written twice. */
function doubleCommas(value: string): string {
  return value.replaceAll(',', ',,')
}
