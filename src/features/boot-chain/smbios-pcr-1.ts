import { createHash } from 'node:crypto'
import type { RunningMachine } from '../../machine/index.ts'
import type { CheckContext } from '../../verify/index.ts'
import { type Claim, claim, type Feature, negative } from '../feature.ts'
import { MEASURED_BOOT, systemdVersion } from '../requirement.ts'
import { sh } from '../shell.ts'

/** SMBIOS type → tag of its EV_EVENT_TAG event (systemd, TPM2_PCR_MEASUREMENTS). */
const TAGS: ReadonlyMap<number, number> = new Map([
  [1, 0xd5cb7cbc],
  [2, 0xe0d47bc8],
  [11, 0xc0b3bd23],
])
/** Of the system information: what woke the machine is left out (SMBIOS 3.7, 7.2). */
const WAKE_UP_TYPE_OFFSET = 0x18
const EV_EVENT_TAG = 6

export const smbiosInPcr1: Feature = {
  id: 'smbios-pcr-1',
  group: 'boot-chain',
  title: 'What the machine says of itself is measured into PCR 1',
  topic: 'Measured boot: SMBIOS',
  requires: [systemdVersion(261), MEASURED_BOOT],
  async observe(context) {
    const { machine } = context
    const measured = await tagged(context)
    const claims: Claim[] = []
    for (const [type, tag] of TAGS) {
      const expected = await structures(machine, type)
      const found = measured.filter((event) => event.tag === tag).map(({ digest }) => digest)
      const kind = expected.length === 0 ? negative : claim
      claims.push(kind(`events of type ${type}, as the table says`, expected.join(' '), found.join(' ')))
    }
    const others = measured.filter(({ tag }) => [...TAGS.values()].includes(tag)).length
    const flipped = (await structures(machine, 1, true)).join(' ')
    const first = measured.find(({ tag }) => tag === TAGS.get(1))?.digest ?? 'none'
    return [
      ...claims,
      claim('each structure is measured once', (await total(machine)).toString(), String(others)),
      negative('a table that differs in one bit has another digest', true, flipped !== first),
    ]
  },
}

/** The tagged events of PCR 1, with their SHA-256 digests. */
async function tagged({ guest }: CheckContext): Promise<{ tag: number; digest: string }[]> {
  const { events } = await guest.eventLog()
  return events
    .filter(({ pcr, untrustedType }) => pcr === 1 && untrustedType === EV_EVENT_TAG)
    .map(({ unverifiedData, digests }) => ({
      tag: Buffer.from(unverifiedData).readUInt32LE(0),
      digest: Buffer.from(digests.get('sha256') ?? []).toString('hex'),
    }))
}

async function structures(machine: RunningMachine, type: number, isFlipped = false): Promise<string[]> {
  const { stdout } = await sh(
    machine,
    'for entry in /sys/firmware/dmi/entries/"$1"-*/raw; do test -e "$entry" && od -An -v -tx1 "$entry" | tr -d " \\n" && echo; done; :',
    String(type),
  )
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const bytes = Buffer.from(line, 'hex')
      if (type === 1) bytes[WAKE_UP_TYPE_OFFSET] = 0
      if (isFlipped) bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1
      return createHash('sha256').update(bytes).digest('hex')
    })
}

async function total(machine: RunningMachine): Promise<number> {
  const counts = await Promise.all([...TAGS.keys()].map(async (type) => (await structures(machine, type)).length))
  return counts.reduce((sum, count) => sum + count, 0)
}
