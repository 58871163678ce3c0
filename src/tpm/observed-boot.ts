import { BootwrightError } from '../system/index.ts'
import { BANK_ALGORITHMS } from './algorithms.ts'
import { HEADER_BYTES } from './commands.ts'
import { parseTpmExchanges, type TpmExchange } from './exchanges.ts'
import type { PcrBank } from './swtpm.ts'
import { TpmReader } from './tpm-reader.ts'

/** An extension of a PCR, by whoever sent the command. */
export interface ObservedExtend {
  readonly pcr: number
  readonly digests: ReadonlyMap<PcrBank, Uint8Array>
}

/** What a TPM did to its PCRs since it was last started, as its host has seen it. */
export interface ObservedBoot {
  /** 1 for the first boot of the machine, 2 for the next one. */
  readonly ordinal: number
  /** PCR 0 began with this number (TPM2_Startup). */
  readonly startupLocality: number
  /** In the order in which the TPM carried them out; what was done to a PCR before it was reset is left out. */
  readonly extends: readonly ObservedExtend[]
}

/** TPM 2.0 Part 2: command codes. */
const CC_PCR_EVENT = 0x13c
const CC_PCR_RESET = 0x13d
const CC_STARTUP = 0x144
const CC_PCR_EXTEND = 0x182
const CC_EVENT_SEQUENCE_COMPLETE = 0x185
const STARTUP_CLEAR = 0
/** TPM_RH_NULL in place of a PCR: the digests are only computed. */
const NO_PCR = 0x40000007
const BANKS = Object.keys(BANK_ALGORITHMS) as PcrBank[]
/** 17 to 22 begin with ones and are reset to zeros, by a dynamic launch alone. */
const DYNAMIC_PCRS = [17, 18, 19, 20, 21, 22]

/**
 * The last boot in a TPM's log. Rejects with `MALFORMED_INPUT` a log that cannot be read, that begins after the start of
 * the TPM, or in which a dynamic launch has reset PCRs.
 */
export function observedBoot(log: string): ObservedBoot {
  let boot: { ordinal: number; startupLocality: number; extends: ObservedExtend[] } | undefined
  for (const exchange of parseTpmExchanges(log)) {
    const { command, response, locality } = exchange
    // What was refused has changed nothing.
    if (response.length < HEADER_BYTES || command.length < HEADER_BYTES || response.readUInt32BE(6) !== 0) continue
    const code = command.readUInt32BE(6)
    if (code === CC_STARTUP) {
      const type = new TpmReader(command.subarray(HEADER_BYTES), 'TPM2_Startup').u16('startupType')
      if (type === STARTUP_CLEAR) {
        boot = { ordinal: (boot?.ordinal ?? 0) + 1, startupLocality: locality, extends: [] }
      }
      continue
    }
    const effect = effectOf(code, exchange)
    if (effect === undefined) continue
    if (boot === undefined) throw malformed('a PCR was changed before the TPM was started')
    if (effect.digests !== undefined) boot.extends.push(effect)
    else if (DYNAMIC_PCRS.includes(effect.pcr)) throw malformed(`PCR ${effect.pcr} was reset`)
    else boot.extends = boot.extends.filter(({ pcr }) => pcr !== effect.pcr)
  }
  if (boot === undefined) throw malformed('the TPM was not started')
  return boot
}

/** Without digests: the PCR is reset. */
type Effect = ObservedExtend | { readonly pcr: number; readonly digests?: undefined }

/** TPM 2.0 Part 3, 22 "Integrity Collection (PCR)". */
function effectOf(code: number, { command, response }: TpmExchange): Effect | undefined {
  const reader = new TpmReader(command.subarray(HEADER_BYTES), 'command')
  switch (code) {
    case CC_PCR_EXTEND: {
      const pcr = reader.u32('pcrHandle')
      reader.bytes(reader.u32('authorizationSize'), 'authorization area')
      return pcr === NO_PCR ? undefined : { pcr, digests: digestValues(reader) }
    }
    case CC_PCR_EVENT:
    case CC_EVENT_SEQUENCE_COMPLETE: {
      const pcr = reader.u32('pcrHandle')
      // The TPM has hashed the data itself, and says to what.
      const answer = new TpmReader(response.subarray(HEADER_BYTES), 'response')
      answer.u32('parameterSize')
      return pcr === NO_PCR ? undefined : { pcr, digests: digestValues(answer) }
    }
    case CC_PCR_RESET:
      return { pcr: reader.u32('pcrHandle') }
    default:
      return undefined
  }
}

/** TPML_DIGEST_VALUES. */
function digestValues(reader: TpmReader): ReadonlyMap<PcrBank, Uint8Array> {
  const digests = new Map<PcrBank, Uint8Array>()
  const count = reader.u32('count')
  for (let index = 0; index < count; index++) {
    const algorithm = reader.u16('hashAlg')
    const bank = BANKS.find((name) => BANK_ALGORITHMS[name].id === algorithm)
    if (bank === undefined) throw reader.malformed('hashAlg', `0x${algorithm.toString(16)} is not known`)
    digests.set(bank, reader.bytes(BANK_ALGORITHMS[bank].digestBytes, 'digest'))
  }
  return digests
}

function malformed(problem: string): BootwrightError {
  return new BootwrightError('MALFORMED_INPUT', `Cannot follow the PCRs in the log of the TPM: ${problem}`)
}
