import { BootwrightError } from '../system/index.ts'

/** A whole number from `least` to `most`. */
export function wholeNumber(option: string, least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a whole number ${range} for ${option}, found "${text}"`)
  }
}
