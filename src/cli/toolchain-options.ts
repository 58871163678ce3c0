import type { Command } from 'commander'
import { BootwrightError } from '../system/index.ts'
import { accelerator, Cache, type SetupOptions, setUp, type Toolchain } from '../toolchain/index.ts'
import type { Progress } from './progress.ts'

export interface ToolchainOptions {
  readonly toolchain: string
  readonly mirror?: string
  readonly snapshot?: string
}

/** Options of every command that runs outside programs. */
export function withToolchainOptions(command: Command): Command {
  return command
    .option('--toolchain <kind>', 'managed: a tools tree made by mkosi; host: the programs of this host', 'managed')
    .option('--mirror <url>', "mirror of Debian's archive, where the host's apt configuration names none")
    .option('--snapshot <timestamp>', "pin Debian's archive to a time, YYYYMMDDTHHMMSSZ")
}

const STEPS = { sources: 'package sources', mkosi: 'mkosi', tools: 'tools tree' } as const

/** What the options ask of set-up; rejects with `INVALID_ARGUMENT` when they ask for what cannot be. */
export function setupOptions(options: ToolchainOptions): SetupOptions {
  const { toolchain, mirror, snapshot } = options
  if (toolchain !== 'managed' && toolchain !== 'host') {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected --toolchain managed or host, found "${toolchain}"`, {
      hint: 'managed makes a tools tree, host takes what this host has; without the option it is managed.',
    })
  }
  return { toolchain, mirror, snapshot }
}

/** Makes the toolchain ready, telling what it does. */
export async function prepareToolchain(
  options: ToolchainOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Toolchain> {
  const toolchain = await setUp({
    ...setupOptions(options),
    signal,
    onProgress: (step, line) => progress.update(`set up: ${STEPS[step]}`, line),
  })
  progress.finish()
  return toolchain
}

/** KVM where it can really run the firmware, else TCG; says so when it has to find out. */
export async function chooseAccelerator(
  toolchain: Toolchain,
  needsSmm: boolean,
  signal: AbortSignal,
): Promise<'kvm' | 'tcg'> {
  const { name } = await accelerator(toolchain, new Cache(), { smm: needsSmm, signal })
  return name
}
