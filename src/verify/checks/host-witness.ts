import { comparePcrs } from '../../measure/index.ts'
import { hostPcrs } from '../../scene/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

/** Whatever the guest says of its TPM is compared with what the host has seen the TPM do: the guest is not its own witness. */
export const hostWitness: Check = {
  id: 'host-witness',
  title: 'The host saw the TPM get the PCR values that the guest shows',
  async run({ machine, guest }) {
    if (machine.spec.tpm === 'absent') return unsupported('the machine has no TPM')
    const shown = await guest.pcrs()
    const boot = await machine.observedBoot()
    const compared = comparePcrs(hostPcrs(boot, shown.keys()), shown)
    const wrong = compared
      .filter(({ status }) => status !== 'equal')
      .map(({ bank, pcr, expected, found = 'no value' }) => ({ pcr: `PCR ${pcr} (${bank})`, seen: expected, found }))
    const right = compared.length - wrong.length
    const [first] = wrong
    const summary = `${right} PCR values follow from ${boot.extends.length} commands that the host saw`
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
