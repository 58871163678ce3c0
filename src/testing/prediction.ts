import { join } from 'node:path'
import type { BuiltImage } from '../image/index.ts'
import type { MachineContext, MachineSpec, RunningMachine } from '../machine/index.ts'
import type { PredictedEvent } from '../measure/index.ts'
import { calibrate, importedUserData, predictMachine } from '../scene/index.ts'
import type { Cache } from '../toolchain/index.ts'

/** What a machine has to measure in the boot that it is in. Takes seconds the first time: most tests never ask. */
export type Predictor = (running: RunningMachine) => Promise<readonly PredictedEvent[]>

export interface PredictorParts {
  /** The machine as its firmware was started: a fork may have become somebody else since. */
  readonly spec: MachineSpec
  readonly image: Pick<BuiltImage, 'manifestPath' | 'ukiPath'>
  readonly place: MachineContext
  readonly cache: Cache
  /** What its cloud has for the instance now. */
  userData(): Uint8Array | undefined
  readonly signal: AbortSignal
}

/** Nothing of the running machine is looked at but, from its second boot on, the variables that the first one has left. */
export function predictor({ spec, image, place, cache, userData, signal }: PredictorParts): Predictor {
  return async (running) => {
    const calibration = await calibrate(spec, place, cache, signal)
    const isFirst = (await running.observedBoot()).ordinal === 1
    const { events } = await predictMachine(spec, {
      toolchain: place.toolchain,
      calibration,
      ...(await importedUserData(image, userData())),
      ...(isFirst ? {} : { variablesPath: join(running.directory, 'variables.fd') }),
    })
    return events
  }
}
