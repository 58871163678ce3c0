import type { Command } from 'commander'
import { BootwrightError } from '../system/index.ts'
import { accelerator, Cache, setUp, type Toolchain } from '../toolchain/index.ts'
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

/** Makes the toolchain ready, telling what it does. */
export async function prepareToolchain(
  options: ToolchainOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Toolchain> {
  const kind = options.toolchain
  if (kind !== 'managed' && kind !== 'host') {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected --toolchain managed or host, found "${kind}"`)
  }
  const toolchain = await setUp({
    toolchain: kind,
    mirror: options.mirror,
    snapshot: options.snapshot,
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
