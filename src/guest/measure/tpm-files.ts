import { readFileSync } from 'node:fs'
import { extendPcr, KERNEL_BOOT_PCR, type Pcr11Value, phaseExtends } from '../../measure/index.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'

const TPM = '/sys/class/tpm/tpm0'

/** What `status` shows: PCRs that a unified kernel image shapes. */
const RELEVANT = [
  { pcr: 11, title: 'Unified Kernel Image' },
  { pcr: 12, title: 'Kernel Parameters' },
  { pcr: 13, title: 'initrd System Extensions' },
] as const

export interface BankStatus {
  readonly bank: string
  readonly pcrs: readonly { readonly pcr: number; readonly title: string; readonly hash: string }[]
}

/** Those PCRs in the banks that the TPM has. */
export function readStatus(banks: readonly string[]): BankStatus[] {
  if (readPcr('sha256', KERNEL_BOOT_PCR) === undefined && banks.every((bank) => readPcr(bank, 11) === undefined)) {
    throw new ToolFailure('Sorry, system lacks full TPM2 support.')
  }
  return banks.flatMap((bank) => {
    const pcrs = RELEVANT.flatMap(({ pcr, title }) => {
      const hash = readPcr(bank, pcr)
      return hash === undefined ? [] : [{ pcr, title, hash }]
    })
    return pcrs.length === 0 ? [] : [{ bank, pcrs }]
  })
}

/** PCR 11 as it is now, and as it will be after each phase path. */
export function currentValues(
  banks: readonly string[],
  phasePaths: readonly (readonly string[])[],
): Pcr11Value<string>[] {
  return banks.flatMap((bank) => {
    const path = pcrPath(bank, KERNEL_BOOT_PCR)
    let now: Buffer
    try {
      now = Buffer.from(readFileSync(path, 'latin1').trim(), 'hex')
    } catch (error) {
      throw new ToolFailure(`Failed to read '${path}': ${errnoText(error)}`)
    }
    return phasePaths.map((phasePath) => {
      let value: Uint8Array = now
      for (const { digests } of phaseExtends(phasePath, [bank])) {
        value = extendPcr(bank, value, digests.get(bank) ?? new Uint8Array())
      }
      return { bank, phasePath, value: Buffer.from(value).toString('hex') }
    })
  })
}

function readPcr(bank: string, pcr: number): string | undefined {
  try {
    return readFileSync(pcrPath(bank, pcr), 'latin1').trim().toLowerCase()
  } catch {
    return undefined
  }
}

function pcrPath(bank: string, pcr: number): string {
  return `${TPM}/pcr-${bank}/${pcr}`
}
