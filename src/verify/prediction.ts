import { readFile } from 'node:fs/promises'
import { parsePe } from '../formats/index.ts'
import type { BuiltImage } from '../image/index.ts'
import type { MachineSpec } from '../machine/index.ts'
import {
  type Calibration,
  calculatePcr11,
  type HashAlgorithm,
  type PredictedEvent,
  type PredictedRefusal,
  READY_PHASE_PATH,
  ukiProfile,
} from '../measure/index.ts'
import { importedUserData, predictMachine } from '../scene/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** What a machine must measure, computed before it is switched on. */
export interface Prediction {
  /** PCR 11 by bank once the system is up, lower-case hexadecimal: from the UKI file alone. */
  readonly pcr11: ReadonlyMap<HashAlgorithm, string>
  /** Name and size of each measured section, for explaining a difference. */
  readonly sections: readonly string[]
  /** Every measurement, from the firmware, the disk and the description of the machine. */
  readonly events: readonly PredictedEvent[]
  /** The boot is to end there; none without it. */
  readonly refusal?: PredictedRefusal
}

/** What the prediction is made from. Nothing of a running system is looked at. */
export interface PredictionInput {
  readonly image: Pick<BuiltImage, 'ukiPath' | 'manifestPath'>
  /** With the disk that is expected, whatever the machine then starts from. */
  readonly spec: MachineSpec
  readonly toolchain: Toolchain
  readonly calibration: Calibration
  /** That its cloud has for the machine. */
  readonly userData: Uint8Array | undefined
}

export async function predict(input: PredictionInput): Promise<Prediction> {
  const { image, spec, toolchain, calibration, userData } = input
  const uki = await predictUki(image.ukiPath, spec.tpm === 'absent' ? [] : spec.tpm.banks)
  const imported = await importedUserData(image, userData)
  const { events, refusal } = await predictMachine(spec, {
    toolchain,
    calibration,
    ...imported,
  })
  return { ...uki, events, ...(refusal === undefined ? {} : { refusal }) }
}

/** The part that follows from the UKI file alone. */
export async function predictUki(
  ukiPath: string,
  banks: readonly HashAlgorithm[],
): Promise<Pick<Prediction, 'pcr11' | 'sections'>> {
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
