import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { diskRange, FatVolume, parseGpt } from '../../src/formats/index.ts'
import type { MachineSpec, RunningMachine, StoppedMachine } from '../../src/machine/index.ts'
import { openDisk, run } from '../../src/system/index.ts'
import { cacheDirectory } from '../../src/toolchain/index.ts'
import { tools } from './scene.ts'

/** The distribution's own. */
export const SYSUPDATE = '/usr/lib/systemd/systemd-sysupdate'
/** Room for two slots and a root file system. */
export const DISK_MIB = 1200

/** What there is of the versions: slots by label, UKIs by name, and which one runs. */
export interface Versions {
  readonly running: string | undefined
  readonly slots: readonly string[]
  readonly ukis: readonly string[]
}

export async function versionsOf(machine: Pick<RunningMachine, 'run'>): Promise<Versions> {
  // A machine that has just booted may still be looking at its partitions.
  await machine.run(['udevadm', 'settle'])
  const { stdout: labels } = await machine.run(['lsblk', '--noheadings', '--output=PARTLABEL', '/dev/vda'])
  const { stdout: ukis } = await machine.run(['ls', '/boot/EFI/Linux'])
  const { stdout: release } = await machine.run(['cat', '/usr/lib/os-release'])
  return {
    running: /^IMAGE_VERSION="?(.+?)"?$/m.exec(release)?.[1],
    slots: labels.split(/\s+/).filter((label) => /^(ab_|_empty)/.test(label)),
    ukis: ukis.trim().split(/\s+/),
  }
}

/** The disk of a machine that is off: as an image for others, and what is on it. */
export interface StillDisk extends AsyncDisposable {
  readonly image: MachineSpec['image']
  state(): { readonly gpt: 'both' | 'one'; readonly slots: readonly string[]; readonly ukis: readonly string[] }
}

export async function diskOf(machine: Pick<StoppedMachine, 'directory' | 'spec'>): Promise<StillDisk> {
  const directory = await mkdtemp(join(cacheDirectory(), 'disk-'))
  const diskPath = join(directory, 'disk.raw')
  const from = join(machine.directory, 'disk.qcow2')
  await run((await tools()).command(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', from, diskPath]))
  return {
    image: { ...machine.spec.image, identity: directory, diskPath },
    state: () => stateOf(diskPath),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

function stateOf(path: string): ReturnType<StillDisk['state']> {
  using disk = openDisk(path)
  const { partitions, primary, backup } = parseGpt(disk)
  const esp = partitions.find(({ name }) => name === 'esp')
  if (esp === undefined) throw new Error(`${path} has no ESP`)
  const files = FatVolume.open(diskRange(disk, esp.offset, esp.size)).list('EFI/Linux') ?? []
  return {
    gpt: primary.state === 'valid' && backup.state === 'valid' ? 'both' : 'one',
    slots: partitions.map(({ name }) => name).filter((name) => /^(ab_|_empty)/.test(name)),
    ukis: files
      .map(({ name }) => name)
      .filter((name) => !name.startsWith('.'))
      .sort(),
  }
}
