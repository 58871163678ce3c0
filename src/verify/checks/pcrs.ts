import { type PredictedPcr, predictPcrs } from '../../measure/index.ts'
import { type Check, failed, passed, unsupported } from '../check.ts'

/** Every PCR whose measurements can all be known has a value that they lead to. */
export const pcrs: Check = {
  id: 'pcrs',
  title: 'Every PCR that can be predicted has its predicted value',
  async run({ guest, prediction }) {
    if (!(await guest.hasTpm())) return unsupported('the machine has no TPM')
    const actual = await guest.pcrs()
    const wrong: { expected: string; found: string; why: string }[] = []
    const right: string[] = []
    const unknown: string[] = []
    const unknownPcrs = new Set<number>()
    for (const [bank, predicted] of predictPcrs(prediction.events, [...actual.keys()])) {
      for (const [pcr, value] of predicted) {
        const name = `PCR ${pcr} (${bank})`
        const found = actual.get(bank)?.get(pcr)
        if (value.kind === 'unknown') {
          unknown.push(`${name} cannot be predicted: ${value.why.join('; ')}`)
          unknownPcrs.add(pcr)
        } else if (found !== undefined && value.values.includes(found)) right.push(name)
        else wrong.push({ expected: `${name} ${shown(value)}`, found: found ?? 'no value', why: madeOf(pcr) })
      }
    }
    const [first] = wrong
    const rest = unknown.length === 0 ? '' : `; PCR ${[...unknownPcrs].join(', ')} cannot be`
    const evidence = [`${right.length} values are as predicted${rest}`, ...unknown]
    if (first === undefined)
      return right.length === 0 ? failed({ expected: 'a predicted value', found: 'none' }) : passed(...evidence)
    return failed({
      expected: first.expected,
      found: first.found,
      evidence: [
        ...wrong.map(({ expected, found, why }) => `predicted ${expected}, found ${found}: ${why}`),
        ...evidence,
      ],
      hint: 'The machine has measured something else than this image, firmware and machine lead to.',
    })

    function madeOf(pcr: number): string {
      const what = prediction.events.filter((event) => event.pcr === pcr).map((event) => event.what)
      return what.length === 0 ? 'nothing should be measured there' : `it is to be made of ${what.join(', ')}`
    }
  },
}

function shown(value: Extract<PredictedPcr, { kind: 'known' }>): string {
  return value.values.join(' or ')
}
