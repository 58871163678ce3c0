import { claim, type Feature, negative } from '../feature.ts'
import { type Requirement, systemdVersion } from '../requirement.ts'
import { BOOT_ENTRY, overKexec } from './kexec.ts'

export const LIVE_UPDATE_DEVICE = '/dev/liveupdate'

const WITH: Requirement = {
  name: `the kernel has no ${LIVE_UPDATE_DEVICE} (CONFIG_LIVEUPDATE, and kho=on liveupdate=on on its command line)`,
  isMet: ({ guest }) => guest.exists(LIVE_UPDATE_DEVICE),
}

export const liveUpdate: Feature = {
  id: 'live-update',
  group: 'service-manager',
  title: 'A service finds its memory again under another kernel, after a kexec',
  topic: 'Kexec handover: FileDescriptorStorePreserve= over kexec',
  requires: [systemdVersion(262), WITH, BOOT_ENTRY],
  restarts: true,
  async observe({ machine }) {
    const outcome = await overKexec(machine)
    return [
      claim('stored, with yes and with restart', '2 2', outcome.stored),
      claim('another boot', true, outcome.isAnotherBoot),
      claim('kernels that it went through', Number(outcome.counts.before) + 1, outcome.counts.after),
      claim('held after the kexec', '1 0', outcome.held),
      // A socket cannot be handed over.
      claim('what comes back', 'words', outcome.keeps.names),
      claim('what the memfd says', outcome.words, outcome.keeps.words),
      claim('the socket is given up with a warning', true, outcome.lost.includes('socket')),
      negative('the memfd is', false, outcome.lost.includes('words')),
      negative('restart: what comes back', '', outcome.forgets.names),
    ]
  },
}
