import { comparePcrs, KERNEL_BOOT_PCR } from '../../measure/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

export const pcr11: Check = {
  id: 'pcr-11',
  title: 'PCR 11 is the value computed from the UKI',
  async run({ guest, prediction }) {
    if (!(await guest.hasTpm())) return unsupported('the machine has no TPM')
    const expected = new Map([...prediction.pcr11].map(([bank, value]) => [bank, new Map([[KERNEL_BOOT_PCR, value]])]))
    const compared = comparePcrs(expected, await guest.pcrs())
    const wrong = compared.filter(({ status }) => status !== 'equal')
    const [first] = wrong
    if (compared.length === 0) return failed({ expected: 'a predicted value', found: 'none' })
    if (first === undefined) return passed(...compared.map(({ bank, expected: value }) => `${bank} ${value}`))
    return failed({
      expected: first.expected,
      found: first.found ?? `no bank ${first.bank}`,
      evidence: [
        ...wrong.map(({ bank, expected: value, found }) => `${bank}: predicted ${value}, found ${found ?? 'nothing'}`),
        `predicted from: ${prediction.sections.join(', ')}`,
      ],
      hint: 'The image booted another UKI than the one that was predicted, or systemd measured other phases.',
    })
  },
}
