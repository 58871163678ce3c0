import { BootwrightError, unknownName } from '../system/index.ts'
import type { Check } from '../verify/index.ts'
import { bootSecret } from './boot-chain/boot-secret.ts'
import { fallbackEntry } from './boot-chain/fallback-entry.ts'
import { fallbackLoader } from './boot-chain/fallback-loader.ts'
import { serialConsole } from './boot-chain/serial-console.ts'
import { smbiosInPcr1 } from './boot-chain/smbios-pcr-1.ts'
import { forwardJournal } from './containers/forward-journal.ts'
import { nspawnFdStore } from './containers/nspawn-fd-store.ts'
import { storageProvider } from './containers/storage-provider.ts'
import { imdsInPcr12 } from './credentials/imds-pcr-12.ts'
import { nvpcrs } from './credentials/nvpcrs.ts'
import { osSeparator } from './credentials/os-separator.ts'
import { checkOf, type Feature, GROUPS, type Group } from './feature.ts'
import { cacheSizes } from './network/cache-sizes.ts'
import { dhcpLease } from './network/dhcp-lease.ts'
import { dhcpPackets } from './network/dhcp-packets.ts'
import { hostsReload } from './network/hosts-reload.ts'
import { linkControl } from './network/link-control.ts'
import { staticRecords } from './network/static-records.ts'
import { conditionFraction } from './service-manager/condition-fraction.ts'
import { fdStore } from './service-manager/fd-store.ts'
import { liveUpdate } from './service-manager/live-update.ts'
import { liveUpdateAbsent } from './service-manager/live-update-absent.ts'
import { measuredOs } from './service-manager/measured-os.ts'
import { reloadCount } from './service-manager/reload-count.ts'
import { softRebootFdStore } from './service-manager/soft-reboot-fd-store.ts'
import { userFdStore } from './service-manager/user-fd-store.ts'

export { type Feature, GROUPS, type Group } from './feature.ts'

/** Every feature that has a check, in the order in which they are looked at. */
export const FEATURES: readonly Feature[] = [
  measuredOs,
  conditionFraction,
  fdStore,
  userFdStore,
  liveUpdateAbsent,
  smbiosInPcr1,
  fallbackLoader,
  osSeparator,
  nvpcrs,
  imdsInPcr12,
  dhcpLease,
  linkControl,
  dhcpPackets,
  staticRecords,
  hostsReload,
  cacheSizes,
  storageProvider,
  nspawnFdStore,
  forwardJournal,
  // From here on each leaves the machine in another boot, or with another manager.
  reloadCount,
  softRebootFdStore,
  serialConsole,
  fallbackEntry,
  bootSecret,
  liveUpdate,
]

/** The checks of the features in these groups; of all without. `UNKNOWN_NAME` lists the groups that there are. */
export function featureChecks(groups: readonly string[] = GROUPS): Check[] {
  for (const group of groups) if (!isGroup(group)) throw unknownName('group of features', group, GROUPS)
  const chosen = FEATURES.filter(({ group }) => groups.includes(group))
  if (chosen.length === 0) throw new BootwrightError('INVALID_ARGUMENT', 'Expected a group of features, found none')
  return chosen.map(checkOf)
}

function isGroup(name: string): name is Group {
  return (GROUPS as readonly string[]).includes(name)
}
