import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findBootPartitions } from './boot-partitions.ts'
import { deviceNumber, diskOfDirectory, type SystemPlaces, systemDisk } from './system-disk.ts'

let directory: string
let places: SystemPlaces

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'bootwright-disk-')))
  places = { mountInfo: join(directory, 'mountinfo'), sys: join(directory, 'sys'), run: join(directory, 'run') }
  // A disk with partitions, /usr on dm-verity over two of them, as sysfs shows it.
  device('254:0', 'pci/virtio/block/vda')
  for (const number of [1, 2, 3]) device(`254:${number}`, `pci/virtio/block/vda/vda${number}`, { partition: number })
  device('253:0', 'virtual/block/dm-0', { slaves: { vda2: '254:2', vda3: '254:3' } })
  device('259:0', 'pci/nvme/nvme0n1')
  device('259:1', 'pci/nvme/nvme0n1/nvme0n1p1', { partition: 1 })
})
afterEach(() => rmSync(directory, { recursive: true }))

function device(
  number: string,
  path: string,
  facts: { readonly partition?: number; readonly slaves?: Readonly<Record<string, string>> } = {},
): void {
  const place = join(places.sys, 'devices', path)
  mkdirSync(join(place, 'slaves'), { recursive: true })
  if (facts.partition !== undefined) writeFileSync(join(place, 'partition'), `${facts.partition}\n`)
  for (const [name, slave] of Object.entries(facts.slaves ?? {})) {
    symlinkSync(realpathSync(join(places.sys, 'dev/block', slave)), join(place, 'slaves', name))
  }
  mkdirSync(join(places.sys, 'dev/block'), { recursive: true })
  symlinkSync(place, join(places.sys, 'dev/block', number))
}

function mounts(...lines: string[]): void {
  writeFileSync(places.mountInfo, lines.map((line, index) => `${index + 20} 1 ${line}\n`).join(''))
}

function udev(device: string, type: string): void {
  const path = join(places.run, 'udev/data', `b${device}`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `S:disk\nE:ID_PART_ENTRY_TYPE=${type}\nE:X=y\n`)
}

describe('systemDisk()', () => {
  it.for<[string, string | undefined, string[]]>([
    ['of a partition', '/dev/vda', ['254:1 / / rw - ext4 /dev/vda1 rw']],
    ['of /usr before that of the root', '/dev/nvme0n1', ['254:1 / / rw - ext4 x rw', '259:1 / /usr ro - erofs x ro']],
    ['through dm-verity', '/dev/vda', ['0:30 / / rw - tmpfs tmpfs rw', '253:0 / /usr ro - erofs /dev/dm-0 ro']],
    [
      'through an extension that is merged over /usr',
      '/dev/nvme0n1',
      ['254:1 / / rw - ext4 x rw', '259:1 / /usr ro - erofs x ro', '0:40 / /usr ro shared:1 - overlay sysext ro'],
    ],
    [
      'of the root below such an extension',
      '/dev/vda',
      ['254:1 / / rw - ext4 x rw', '0:40 / /usr ro - overlay sysext ro'],
    ],
    ['of nothing', undefined, ['0:30 / / rw - tmpfs tmpfs rw']],
    ['of a disk without partitions', '/dev/vda', ['254:0 / / rw - ext4 /dev/vda rw']],
  ])('is that %s', ([, disk, lines]) => {
    mounts(...lines)
    expect(systemDisk(places)).toBe(disk)
  })

  it('is that which was the root before it was kept in memory', () => {
    mounts('0:30 / / rw - tmpfs tmpfs rw')
    const loop = statSync('/dev/loop0', { throwIfNoEntry: false })
    if (loop === undefined) return
    device(deviceNumber(loop.rdev), 'virtual/block/loop0')
    mkdirSync(join(places.run, 'systemd'), { recursive: true })
    symlinkSync('/dev/loop0', join(places.run, 'systemd/volatile-root'))
    expect(systemDisk(places)).toBe('/dev/loop0')
  })

  it('of a directory is that of the file system that it is on', () => {
    mounts('254:1 / / rw - ext4 x rw', '259:1 / /srv/a\\040b rw - ext4 x rw', '0:9 / /run rw - tmpfs tmpfs rw')
    expect(diskOfDirectory('/srv/a b/c', places)).toBe('/dev/nvme0n1')
    expect(diskOfDirectory('/srv/a', places)).toBe('/dev/vda')
    expect(diskOfDirectory('/run/x', places)).toBeUndefined()
  })

  it('of this system is one that is there', () => {
    const disk = systemDisk()
    if (disk !== undefined) expect(statSync(disk).isBlockDevice()).toBe(true)
  })
})

describe('findBootPartitions()', () => {
  const [ESP, XBOOTLDR] = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', 'bc13c2ff-59e6-4262-a352-b275fd6f7172']
  const root = () => join(directory, 'root')
  beforeEach(() => {
    for (const path of ['efi', 'boot/efi']) mkdirSync(join(root(), path), { recursive: true })
  })

  it('tells the EFI from the boot partition by its type, whatever it is mounted on', () => {
    mounts(`254:1 / ${root()}/efi rw - vfat x rw`, `254:2 / ${root()}/boot rw - vfat x rw`)
    udev('254:1', ESP)
    expect(findBootPartitions(root(), places)).toEqual({ esp: `${root()}/efi` })
    udev('254:2', XBOOTLDR)
    expect(findBootPartitions(root(), places)).toEqual({ esp: `${root()}/efi`, xbootldr: `${root()}/boot` })
  })

  it('takes /boot, then /boot/efi, and what lies behind an automount point', () => {
    mounts(`0:40 / ${root()}/boot rw - autofs systemd-1 rw`, `254:1 / ${root()}/boot rw - vfat x rw`)
    udev('254:1', ESP)
    expect(findBootPartitions(root(), places)).toEqual({ esp: `${root()}/boot` })
    mounts(`254:1 / ${root()}/boot/efi rw - vfat x rw`)
    expect(findBootPartitions(root(), places)).toEqual({ esp: `${root()}/boot/efi` })
  })

  it('takes no directory, no link and no partition of another type', () => {
    mounts(`254:2 / ${root()}/efi rw - vfat x rw`, `254:1 / ${directory}/else rw - vfat x rw`)
    udev('254:2', '0fc63daf-8483-4772-8e79-3d69d8477de4')
    udev('254:1', ESP)
    rmSync(join(root(), 'boot'), { recursive: true })
    mkdirSync(join(directory, 'else'))
    symlinkSync('../else', join(root(), 'boot'))
    expect(findBootPartitions(root(), places)).toEqual({})
  })
})
