import { join, resolve } from 'node:path'
import { guestTrees } from '../../src/guest/index.ts'
import { type BuiltImage, build } from '../../src/image/index.ts'
import { firmwareNamed, type MachineSpec } from '../../src/machine/index.ts'
import type { CheckReport, RunReport } from '../../src/report/index.ts'
import { pcrKeys } from '../../src/scene/index.ts'
import { accelerator, Cache, cacheDirectory, setUp, type Toolchain } from '../../src/toolchain/index.ts'
import {
  type CheckedImage,
  machineStates,
  makeRunDirectory,
  type VerifyOptions,
  verify,
} from '../../src/verify/index.ts'

export const CHECKOUT = resolve(import.meta.dirname, '../..')
const OUT = join(CHECKOUT, 'out')

export const STATES = machineStates(cacheDirectory())

let toolchain: Promise<Toolchain> | undefined

/** The toolchain of every test: made ready by `bootwright test`, or here by whoever calls Vitest alone. */
export function tools(): Promise<Toolchain> {
  toolchain ??= setUp()
  return toolchain
}

/** An image of this checkout, built unless it is there already. */
export async function builtImage(name: string, version?: string): Promise<BuiltImage> {
  return build(name, {
    version,
    toolchain: await tools(),
    imagesDirectory: join(CHECKOUT, 'images'),
    outDirectory: OUT,
    cache: new Cache(),
    treeMakers: { ...guestTrees(new Cache()), ...pcrKeys(await tools(), new Cache()) },
  })
}

export async function plainFirmware() {
  return firmwareNamed(join(CHECKOUT, 'ovmf'), 'plain', await tools(), new Cache())
}

export async function hostAccelerator(): Promise<'kvm' | 'tcg'> {
  return (await accelerator(await tools(), new Cache())).name
}

/** Runs the main job on an image, with whatever the test breaks. */
export async function verified(image: CheckedImage, changes: Partial<VerifyOptions> = {}): Promise<RunReport> {
  return verify({
    image,
    firmware: await plainFirmware(),
    cloud: undefined,
    toolchain: await tools(),
    cache: new Cache(),
    accelerator: await hostAccelerator(),
    runDirectory: await makeRunDirectory(join(OUT, 'runs'), new Date()),
    stateParent: STATES,
    command: 'vitest',
    ...changes,
  })
}

/** Identifiers of the checks that failed, with what they found. */
export function failures(report: RunReport): string[] {
  return report.checks.filter(({ status }) => status === 'failed').map(({ id }) => id)
}

/** A check's own words, for the message of an assertion. */
export function check(report: RunReport, id: string): CheckReport | undefined {
  return report.checks.find((found) => found.id === id)
}

/** A unit that a test brings into a machine, wanted by the boot. */
export function extraUnit(
  name: string,
  lines: readonly string[],
): Pick<MachineSpec, 'credentials' | 'kernelCommandLineExtra'> {
  return {
    credentials: { [`systemd.extra-unit.${name}`]: `${lines.join('\n')}\n` },
    kernelCommandLineExtra: [`systemd.wants=${name}`],
  }
}
