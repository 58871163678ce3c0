import { createHash } from 'node:crypto'
import { BootwrightError } from '../system/index.ts'
import { type Digests, digestsOf, HASH_ALGORITHMS, type HashAlgorithm } from './hash-algorithms.ts'
import { extendPcr, initialPcrValue, type PcrExtend } from './replay.ts'
import type { MeasuredContent, MeasuredSectionName } from './uki.ts'

/** The PCR that systemd-stub measures the unified kernel image into. */
export const KERNEL_BOOT_PCR = 11

/** Words measured by systemd-pcrphase, in the order of a boot up to the point where users may log in. */
const BOOT_PHASES = ['enter-initrd', 'leave-initrd', 'sysinit', 'ready'] as const

/** The phase path of a system that is up: what PCR 11 should hold then. */
export const READY_PHASE_PATH: readonly string[] = BOOT_PHASES

/** The paths that `systemd-measure` assumes: each beginning of `READY_PHASE_PATH`, without the empty one. */
export const DEFAULT_PHASE_PATHS: readonly (readonly string[])[] = BOOT_PHASES.map((_, index) =>
  BOOT_PHASES.slice(0, index + 1),
)

export interface Pcr11Value<Bank extends string = HashAlgorithm> {
  readonly bank: Bank
  /** Empty for the value that the stub leaves behind. */
  readonly phasePath: readonly string[]
  /** Lower-case hexadecimal. */
  readonly value: string
}

export interface Pcr11Options {
  /** All four without it. */
  readonly banks?: readonly HashAlgorithm[]
  /** Only the value after the stub (one empty path) without it. */
  readonly phasePaths?: readonly (readonly string[])[]
}

/** A section whose content was hashed already. */
export interface SectionDigests<Bank extends string = HashAlgorithm> {
  readonly name: MeasuredSectionName
  readonly digests: Digests<Bank>
}

/** Most zeros that one section may be followed by in memory; real ones need less than a page. All of them are hashed, by bank. */
const MAX_ZERO_FILL_BYTES = 1024 * 1024
const ZEROS = new Uint8Array(64 * 1024)

/** Splits a phase path as it is typed, `enter-initrd:leave-initrd`; empty words are dropped. */
export function parsePhasePath(text: string): string[] {
  return text.split(':').filter((word) => word !== '')
}

/** The records by which the stub measures a UKI: for each section its name with a NUL, then its content. */
export function ukiExtends(
  sections: readonly MeasuredContent[],
  banks: readonly HashAlgorithm[] = HASH_ALGORITHMS,
): PcrExtend[] {
  return sections.flatMap((section) => sectionExtends(section.name, contentDigests(section, banks), banks))
}

function sectionExtends<Bank extends string>(
  name: MeasuredSectionName,
  content: Digests<Bank>,
  banks: readonly Bank[],
): PcrExtend<Bank>[] {
  return [
    { pcr: KERNEL_BOOT_PCR, digests: digestsOf(banks, Buffer.from(`${name}\0`)) },
    { pcr: KERNEL_BOOT_PCR, digests: content },
  ]
}

/** The records of phase words, each hashed without a NUL. */
export function phaseExtends<Bank extends string>(
  phasePath: readonly string[],
  banks: readonly Bank[],
): PcrExtend<Bank>[] {
  return phasePath.map((word) => ({ pcr: KERNEL_BOOT_PCR, digests: digestsOf(banks, Buffer.from(word)) }))
}

/**
 * PCR 11 after the stub and each phase path, by bank and then by path, as `systemd-measure calculate` computes it.
 *
 * Takes one pass over the sections per bank, however many paths there are.
 */
export function calculatePcr11(sections: readonly MeasuredContent[], options: Pcr11Options = {}): Pcr11Value[] {
  const { banks = HASH_ALGORITHMS } = options
  return pcr11Values(ukiExtends(sections, banks), banks, options.phasePaths)
}

/**
 * The same from digests that were computed elsewhere, in the order in which the stub measures the sections. A bank may be
 * any hash that node:crypto knows.
 */
export function pcr11OfDigests<Bank extends string>(
  sections: readonly SectionDigests<Bank>[],
  { banks, phasePaths }: { banks: readonly Bank[]; phasePaths?: Pcr11Options['phasePaths'] },
): Pcr11Value<Bank>[] {
  const records = sections.flatMap(({ name, digests }) => sectionExtends(name, digests, banks))
  return pcr11Values(records, banks, phasePaths)
}

function pcr11Values<Bank extends string>(
  records: readonly PcrExtend<Bank>[],
  banks: readonly Bank[],
  phasePaths: readonly (readonly string[])[] = [[]],
): Pcr11Value<Bank>[] {
  return banks.flatMap((bank) => {
    const afterStub = extendAll(bank, initialPcrValue(bank, KERNEL_BOOT_PCR), records)
    return phasePaths.map((phasePath) => {
      const value = extendAll(bank, afterStub, phaseExtends(phasePath, [bank]))
      return { bank, phasePath, value: Buffer.from(value).toString('hex') }
    })
  })
}

function extendAll<Bank extends string>(
  bank: Bank,
  start: Uint8Array,
  records: readonly PcrExtend<Bank>[],
): Uint8Array {
  let value = start
  for (const { digests } of records) {
    const digest = digests.get(bank)
    if (digest === undefined) throw new BootwrightError('BUG', `A computed record has no ${bank} digest`)
    value = extendPcr(bank, value, digest)
  }
  return value
}

function contentDigests({ name, bytes, size }: MeasuredContent, banks: readonly HashAlgorithm[]): Digests {
  const fill = size - bytes.byteLength
  if (fill > MAX_ZERO_FILL_BYTES) {
    throw new BootwrightError(
      'MALFORMED_INPUT',
      `Section ${name} has ${bytes.byteLength} bytes in the file and ${size} in memory: ` +
        `${fill} zeros exceed the limit of ${MAX_ZERO_FILL_BYTES}`,
      { hint: 'Build the image again; no section of a unified kernel image is that sparse.', detail: { name, size } },
    )
  }
  return new Map(
    banks.map((bank) => {
      const hash = createHash(bank).update(bytes)
      for (let left = fill; left > 0; left -= ZEROS.byteLength) {
        hash.update(left < ZEROS.byteLength ? ZEROS.subarray(0, left) : ZEROS)
      }
      return [bank, hash.digest()]
    }),
  )
}
