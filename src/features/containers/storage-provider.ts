import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { activeUnit, file, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

const SOCKET = '/run/systemd/io.systemd.StorageProvider/fs'
const VOLUME = 'bootwright'
const SIZE = 1024 * 1024

export const storageProvider: Feature = {
  id: 'storage-provider',
  group: 'containers',
  title: 'Volumes are made and handed out by the storage provider',
  topic: 'Containers and VMs: io.systemd.StorageProvider',
  requires: [
    systemdVersion(261),
    file('/usr/bin/storagectl', 'systemd-container'),
    activeUnit('systemd-storage-fs.socket'),
  ],
  async observe({ machine }) {
    try {
      const made = await acquire(machine, { name: VOLUME, createMode: 'new', createSizeBytes: SIZE, requestAs: 'reg' })
      const listed = await sh(machine, 'storagectl volumes --json=short')
      const opened = await acquire(machine, { name: VOLUME, createMode: 'open', requestAs: 'reg' })
      const twice = await acquire(machine, { name: VOLUME, createMode: 'new', createSizeBytes: SIZE, requestAs: 'reg' })
      const missing = await acquire(machine, { name: 'bootwright-none', createMode: 'open', requestAs: 'reg' })
      const outside = await acquire(machine, { name: '../bootwright', createMode: 'open', requestAs: 'reg' })
      return [
        claim('a new volume', '', errorOf(made.stderr)),
        claim('is listed', true, listed.stdout.includes(`"${VOLUME}"`)),
        claim('and opened again', '', errorOf(opened.stderr)),
        negative('a new one of the same name', 'VolumeExists', errorOf(twice.stderr)),
        negative('one that there is not', 'NoSuchVolume', errorOf(missing.stderr)),
        negative('a name that leads elsewhere', 'Invalid argument', errorOf(outside.stderr)),
      ]
    } finally {
      await sh(machine, `rm -rf /var/lib/storage/${VOLUME}.volume`)
    }
  },
}

function acquire(machine: RunningMachine, parameters: object) {
  return sh(
    machine,
    'varlinkctl call --json=short "$1" io.systemd.StorageProvider.Acquire "$2"',
    SOCKET,
    JSON.stringify(parameters),
  )
}

function errorOf(text: string): string {
  // "Method call io.systemd.StorageProvider.Acquire() failed: io.systemd.…"
  return /failed: (?:io\.systemd\.StorageProvider\.)?(.*)/.exec(text)?.[1] ?? text.trim()
}
