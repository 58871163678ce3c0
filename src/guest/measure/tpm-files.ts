import { existsSync, readFileSync } from 'node:fs'
import { extendPcr, KERNEL_BOOT_PCR, type Pcr11Value, phaseExtends } from '../../measure/index.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'

const TPM = '/sys/class/tpm/tpm0'

export interface BankStatus {
  readonly bank: string
  /** Of PCR 11, lower-case hexadecimal. */
  readonly hash: string
}

/** What `status` shows: PCR 11 in those of the banks that the TPM has. */
export function readStatus(banks: readonly string[]): BankStatus[] {
  if (!existsSync(TPM)) throw new ToolFailure('Sorry, system lacks full TPM2 support.')
  const values = banks.flatMap((bank) => {
    const hash = readPcr(bank)
    return hash === undefined ? [] : [{ bank, hash }]
  })
  if (values.length === 0) throw new ToolFailure('None of the select PCR banks appear to exist.')
  return values
}

/** PCR 11 as it is now, and as it will be after each phase path. */
export function currentValues(
  banks: readonly string[],
  phasePaths: readonly (readonly string[])[],
): Pcr11Value<string>[] {
  return banks.flatMap((bank) => {
    const path = pcrPath(bank)
    let now: Buffer
    try {
      now = Buffer.from(readFileSync(path, 'latin1').trim(), 'hex')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !existsSync(TPM)) {
        throw new ToolFailure(`Failed to read '${path}': ${errnoText(error)}`)
      }
      throw new ToolFailure(
        `TPM device exists, but cannot open '${path}'; either the kernel is too old, or selected PCR bank is not ` +
          `supported: ${errnoText(error)}`,
      )
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

function readPcr(bank: string): string | undefined {
  try {
    return readFileSync(pcrPath(bank), 'latin1').trim().toLowerCase()
  } catch {
    return undefined
  }
}

function pcrPath(bank: string): string {
  return `${TPM}/pcr-${bank}/${KERNEL_BOOT_PCR}`
}
