import { type PcrExtend, replay } from '../../measure/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

/** Whatever the guest says of its TPM is compared with what the host has seen the TPM do: the guest is not its own witness. */
export const hostWitness: Check = {
  id: 'host-witness',
  title: 'The host saw the TPM get the PCR values that the guest shows',
  async run({ machine, guest }) {
    if (machine.spec.tpm === 'absent') return unsupported('the machine has no TPM')
    const shown = await guest.pcrs()
    const boot = await machine.observedBoot()
    const extended: readonly PcrExtend[] = boot.extends
    const wrong: { pcr: string; seen: string; found: string }[] = []
    let right = 0
    for (const bank of shown.keys()) {
      // A bank that a command left out was not extended by it.
      const records = extended.filter(({ digests }) => digests.has(bank))
      const seen = replay(records, [bank], { startupLocality: boot.startupLocality }).values.get(bank)
      for (const [pcr, value] of seen ?? []) {
        const found = shown.get(bank)?.get(pcr)
        if (found === value) right++
        else wrong.push({ pcr: `PCR ${pcr} (${bank})`, seen: value, found: found ?? 'no value' })
      }
    }
    const [first] = wrong
    const summary = `${right} PCR values follow from ${extended.length} commands that the host saw`
    if (first === undefined && right > 0) return passed(summary)
    return failed({
      expected: first === undefined ? 'PCR values' : `${first.pcr} ${first.seen}`,
      found: first === undefined ? 'none' : first.found,
      evidence: [
        ...wrong.map(({ pcr, seen, found }) => `${pcr}: the host saw what leads to ${seen}, the guest shows ${found}`),
        summary,
      ],
      hint: 'Do not believe what the guest says of its TPM. The commands are in tpm.log of the run.',
    })
  },
}
