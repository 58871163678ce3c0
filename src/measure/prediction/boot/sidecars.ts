import { type NewcTarget, newcArchive } from '../../../formats/index.ts'
import type { PredictedEvent } from '../event.ts'
import type { BootVolume } from './boot-volume.ts'
import { bytesMeasured, iplEvent, PCR } from './events.ts'

const target = (name: string, directoryMode: number, fileMode: number): NewcTarget => ({
  directory: name === '' ? '.extra' : `.extra/${name}`,
  directoryMode,
  fileMode,
})

/** Where systemd-stub puts what it hands over, in the initrd. */
export const TARGETS = {
  credentials: target('credentials', 0o500, 0o400),
  globalCredentials: target('global_credentials', 0o500, 0o400),
  sysext: target('sysext', 0o555, 0o444),
  globalSysext: target('global_sysext', 0o555, 0o444),
  confext: target('confext', 0o555, 0o444),
  globalConfext: target('global_confext', 0o555, 0o444),
  metadata: target('', 0o555, 0o444),
  secret: target('', 0o555, 0o400),
} as const

/** What the stub picks up beside a UKI, in the order in which it measures. */
const KINDS = [
  { own: true, suffix: '.cred', target: TARGETS.credentials, pcr: PCR.kernelConfig, what: 'Credentials initrd' },
  {
    own: false,
    directory: '\\loader\\credentials',
    suffix: '.cred',
    target: TARGETS.globalCredentials,
    pcr: PCR.kernelConfig,
    what: 'Global credentials initrd',
  },
  {
    own: true,
    suffix: '.raw',
    except: '.confext.raw',
    target: TARGETS.sysext,
    pcr: PCR.sysexts,
    what: 'System extension initrd',
  },
  {
    own: false,
    directory: '\\loader\\extensions',
    suffix: '.raw',
    except: '.confext.raw',
    target: TARGETS.globalSysext,
    pcr: PCR.sysexts,
    what: 'Global system extension initrd',
  },
  {
    own: true,
    suffix: '.confext.raw',
    target: TARGETS.confext,
    pcr: PCR.kernelConfig,
    what: 'Configuration extension initrd',
  },
  {
    own: false,
    directory: '\\loader\\extensions',
    suffix: '.confext.raw',
    target: TARGETS.globalConfext,
    pcr: PCR.kernelConfig,
    what: 'Global configuration extension initrd',
  },
] as const

/** Archives of credentials and extension images from the UKI's own directory and from /loader, with their records. */
export function sidecars(
  volume: BootVolume,
  ownDirectory: string,
): { readonly events: readonly PredictedEvent[]; readonly archives: readonly Uint8Array[] } {
  const events: PredictedEvent[] = []
  const archives: Uint8Array[] = []
  for (const kind of KINDS) {
    const directory = kind.own ? ownDirectory : kind.directory
    const files = volume
      .pickedUp(directory, kind.suffix, 'except' in kind ? kind.except : undefined)
      .flatMap((name) => {
        const content = volume.read(`${directory}\\${name}`)
        return content === undefined ? [] : [{ name, content }]
      })
    if (files.length === 0) continue
    const bytes = newcArchive(kind.target, files)
    const what = `${kind.what}: ${files.map(({ name }) => name).join(', ')}`
    archives.push(bytes)
    events.push(iplEvent({ pcr: kind.pcr, by: 'stub', what, measured: bytesMeasured(bytes) }, kind.what))
  }
  return { events, archives }
}
