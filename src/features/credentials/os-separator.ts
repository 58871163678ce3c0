import { createHash } from 'node:crypto'
import { claim, type Feature, negative } from '../feature.ts'
import { MEASURED_BOOT, systemdVersion } from '../requirement.ts'

/** PCRs that the firmware and the boot loader have extended, which the system closes (systemd-pcrosseparator.service). */
const SEPARATED = [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14]
const DIGEST = createHash('sha256').update('os-separator').digest('hex')

export const osSeparator: Feature = {
  id: 'os-separator',
  group: 'credentials',
  title: 'What the firmware measured is closed off before the system starts',
  topic: 'Credentials, TPM: OS separator',
  requires: [systemdVersion(261), MEASURED_BOOT],
  async observe({ guest }) {
    const { records } = await guest.userspaceLog()
    const separators = records.flatMap(({ target, digests, unverified }) =>
      unverified.eventType === 'os-separator' && target.kind === 'pcr' ? [{ pcr: target.pcr, digests }] : [],
    )
    const pcrs = separators.map(({ pcr }) => pcr).sort((a, b) => a - b)
    const digests = new Set(separators.map(({ digests: all }) => Buffer.from(all.get('sha256') ?? []).toString('hex')))
    return [
      claim('PCRs with a separator', SEPARATED.join(' '), pcrs.join(' ')),
      claim('its SHA-256', DIGEST, [...digests].join(' ')),
      negative('PCRs of the system with one', 0, separators.filter(({ pcr }) => pcr === 11 || pcr === 15).length),
    ]
  },
}
