import { type HashAlgorithm, type PredictedPcr, type PredictedPcrs, parseHashAlgorithm } from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'

/** The PCR values of what `bootwright predict --json` has written. `MALFORMED_INPUT` for anything else. */
export function parsePredictionFile(text: string): PredictedPcrs {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw malformed((cause as Error).message)
  }
  if (!isObject(json) || json.schema !== 1 || !isObject(json.pcrs)) throw malformed('it has no pcrs, or another schema')
  const banks = Object.entries(json.pcrs).map(([name, values]) => {
    if (!isObject(values)) throw malformed(`bank ${name} has no values`)
    const ofBank = Object.entries(values).map(([pcr, value]) => [Number(pcr), predictedPcr(name, pcr, value)] as const)
    return [parseHashAlgorithm(name), new Map(ofBank)] as const
  })
  return new Map<HashAlgorithm, ReadonlyMap<number, PredictedPcr>>(banks)
}

function predictedPcr(bank: string, pcr: string, value: unknown): PredictedPcr {
  if (isObject(value)) {
    if (isTexts(value.values)) return { kind: 'known', values: value.values }
    if (isTexts(value.unknown)) return { kind: 'unknown', why: value.unknown }
  }
  throw malformed(`PCR ${pcr} of ${bank} has neither values nor why they are unknown`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}

function malformed(problem: string): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `It is no prediction: ${problem}`, {
    hint: 'Make one: bootwright predict IMAGE --json --output prediction.json.',
  })
}
