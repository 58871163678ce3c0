import type { PredictedEvent } from './event.ts'
import type { ImageVerdict } from './firmware/index.ts'

/** A program of the boot that will not be started. */
export interface PredictedRefusal {
  /** Who would have started it, as `toRefuseBoot({ by })` names it. */
  readonly by: 'firmware' | 'boot-loader'
  readonly because: 'secure-boot'
  /** The program: `EFI/BOOT/BOOTX64.EFI`. */
  readonly image: string
  /** For a person. */
  readonly why: string
}

const WHY = {
  'dbx-hash': 'dbx has its digest',
  'dbx-certificate': 'dbx has a certificate of its signer',
  'dbx-certificate-hash': "dbx has the digest of its signer's certificate",
} as const

/**
 * The first of the programs that are started one after the other which the firmware does not let pass. The boot loader has
 * the firmware judge what it starts.
 */
export function predictRefusal(
  started: readonly { readonly name: string; readonly verdict: ImageVerdict }[],
): PredictedRefusal | undefined {
  for (const [index, { name, verdict }] of started.entries()) {
    if (verdict.verdict === 'allowed') continue
    const why = verdict.by === 'not-in-db' ? verdict.why : WHY[verdict.by]
    return { by: index === 0 ? 'firmware' : 'boot-loader', because: 'secure-boot', image: name, why }
  }
  return undefined
}

/** PCRs that whatever is tried next may extend. */
const LATER_PCRS = [4, 5, 7, 8, 9, 11, 12, 13, 14, 15]

/** What follows a refusal: the next boot option, a shell, a menu that waits. */
export function afterRefusal({ image }: PredictedRefusal): PredictedEvent[] {
  const measured = { kind: 'unknown', why: `${image} is refused, and what is tried then is not looked at` } as const
  return LATER_PCRS.map((pcr) => {
    return {
      pcr,
      type: 'word',
      by: 'firmware',
      what: 'whatever comes after the refusal',
      measured,
      standsFor: 'anything',
    }
  })
}
