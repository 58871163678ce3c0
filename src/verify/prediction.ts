import { readFile } from 'node:fs/promises'
import { parsePe } from '../formats/index.ts'
import { calculatePcr11, type HashAlgorithm, READY_PHASE_PATH, ukiProfile } from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'

/**
 * What a machine must measure, computed before it is switched on.
 *
 * Values of further PCRs go beside this one as they become predictable.
 */
export interface Prediction {
  /** PCR 11 by bank once the system is up, lower-case hexadecimal. */
  readonly pcr11: ReadonlyMap<HashAlgorithm, string>
  /** Name and size of each measured section, for explaining a difference. */
  readonly sections: readonly string[]
}

/** Predicts from the UKI file alone; nothing of the disk or a running system is looked at. */
export async function predict(ukiPath: string, banks: readonly HashAlgorithm[]): Promise<Prediction> {
  const file = await readFile(ukiPath).catch((cause: Error) => {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Cannot read the UKI of the image: ${cause.message}`, {
      cause,
      hint: 'Build the image again; an image without a UKI cannot be verified.',
    })
  })
  const { measured: sections } = ukiProfile(parsePe(file), file)
  const values = calculatePcr11(sections, { banks, phasePaths: [READY_PHASE_PATH] })
  return {
    pcr11: new Map(values.map(({ bank, value }) => [bank, value])),
    sections: sections.map(({ name, size }) => `${name} ${size} bytes`),
  }
}
