import { createHash } from 'node:crypto'
import { type Claim, claim, type Feature, negative } from '../feature.ts'
import { file, MEASURED_BOOT, type Requirement, systemdVersion } from '../requirement.ts'

const IN_A_CLOUD: Requirement = {
  name: 'the machine was started in no cloud that has user data',
  isMet: async ({ cloud }) => cloud !== undefined && cloud.userData !== undefined,
}
/** How much of the user data is in the record itself. */
const SHOWN_BYTES = 256

export const imdsInPcr12: Feature = {
  id: 'imds-pcr-12',
  group: 'credentials',
  title: 'User data of the cloud is measured into PCR 12 before it is imported',
  topic: 'IMDS broker: measured import',
  requires: [systemdVersion(261), file('/usr/lib/systemd/systemd-imds', 'systemd-imds'), MEASURED_BOOT, IN_A_CLOUD],
  async observe({ guest, cloud }) {
    const { records } = await guest.userspaceLog()
    const imports = records.flatMap(({ target, digests, unverified }) =>
      target.kind === 'pcr' && target.pcr === 12 && unverified.string?.startsWith('imds-userdata:') === true
        ? [{ word: unverified.string, sha256: Buffer.from(digests.get('sha256') ?? []).toString('hex') }]
        : [],
    )
    const given = Buffer.from(cloud?.userData ?? '')
    const word = `imds-userdata:${sha256(given)}:${given.subarray(0, SHOWN_BYTES).toString('base64')}`
    const other = sha256(Buffer.concat([given, Buffer.of(0)]))
    const claims: Claim[] = [
      claim('records of an import', 1, imports.length),
      claim('what was measured', word, imports[0]?.word ?? 'nothing'),
      claim('its SHA-256', sha256(Buffer.from(word)), imports[0]?.sha256 ?? 'nothing'),
      negative(
        'other user data would have been measured alike',
        false,
        imports.some((one) => one.word.includes(other)),
      ),
    ]
    return claims
  },
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
