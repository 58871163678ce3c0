import { createHash, randomBytes } from 'node:crypto'
import type { RunningMachine } from '../../machine/index.ts'
import { claim, type Feature, negative } from '../feature.ts'
import { file, MEASURED_BOOT, systemdVersion } from '../requirement.ts'
import { output, sh } from '../shell.ts'

const DIRECTORY = '/usr/lib/nvpcr'
const EXTEND = '/usr/lib/systemd/systemd-pcrextend'
const EXTENDED = 'hardware'

export const nvpcrs: Feature = {
  id: 'nvpcrs',
  group: 'credentials',
  title: "The TPM's own memory has the PCRs that the image defines, each extended for itself",
  topic: 'Credentials, TPM: NvPCRs',
  requires: [
    systemdVersion(262),
    file(`${DIRECTORY}/${EXTENDED}.nvpcr`, 'systemd-tpm, and a signed PCR policy in the UKI'),
    MEASURED_BOOT,
  ],
  async observe({ machine, guest }) {
    const defined = (await output(machine, 'sh', '-c', `cd ${DIRECTORY} && ls *.nvpcr`)).replaceAll('.nvpcr', '')
    const { records } = await guest.userspaceLog()
    const made = records.flatMap(({ target, unverified }) =>
      target.kind === 'pcr' && target.pcr === 9
        ? [/^nvpcr-init:([^:]*):/.exec(unverified.string ?? '')?.[1] ?? '']
        : [],
    )
    const before = await values(machine)
    const word = randomBytes(16).toString('hex')
    await machine.run([EXTEND, `--nvpcr=${EXTENDED}`, word])
    const after = await values(machine)
    const unknown = await sh(machine, `${EXTEND} --nvpcr=bootwright-none word`)
    const others = (all: ReadonlyMap<string, string>) =>
      [...all]
        .filter(([name]) => name !== EXTENDED)
        .map((one) => one.join('='))
        .join(' ')
    return [
      claim('in the TPM', defined.split('\n').sort().join(' '), [...before.keys()].sort().join(' ')),
      claim(
        'made in the initrd, and measured into PCR 9',
        defined.split('\n').sort().join(' '),
        made.filter(Boolean).sort().join(' '),
      ),
      claim(`${EXTENDED}, extended by a word`, extended(before.get(EXTENDED), word), after.get(EXTENDED) ?? 'none'),
      negative('the others meanwhile', others(before), others(after)),
      negative('one that is not defined is extended', false, unknown.status === 0),
    ]
  },
}

async function values(machine: RunningMachine): Promise<Map<string, string>> {
  const all = JSON.parse(await output(machine, 'systemd-analyze', 'nvpcrs', '--json=short')) as Record<string, string>[]
  return new Map(all.map((one) => [one.name ?? '', one.value ?? '']))
}

/** What becomes of a value (TPM 2.0 Library, TPM2_NV_Extend). */
function extended(value: string | undefined, word: string): string {
  const digest = createHash('sha256').update(word).digest()
  return createHash('sha256')
    .update(Buffer.from(value ?? '', 'hex'))
    .update(digest)
    .digest('hex')
}
