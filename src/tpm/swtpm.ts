import { mkdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { BootwrightError, type Namespace, type NamespacedProcess } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { endorsementAuthority, setUpTpm } from './authority.ts'

export type PcrBank = 'sha1' | 'sha256' | 'sha384' | 'sha512'

/**
 * Manufactures a TPM 2.0: fresh seeds, endorsement keys with certificates of the user's own authority, and only the given
 * PCR banks active, which firmware then hashes for.
 *
 * @param stateDirectory made by this call; it holds the TPM's non-volatile memory from then on
 */
export async function manufactureTpm(
  toolchain: Toolchain,
  stateDirectory: string,
  banks: readonly PcrBank[],
  signal?: AbortSignal,
): Promise<void> {
  if (banks.length === 0) {
    throw new BootwrightError('INVALID_ARGUMENT', 'A TPM needs at least one active PCR bank, found none', {
      hint: 'Leave the TPM out altogether (`absent`) to boot without one.',
    })
  }
  await mkdir(stateDirectory, { recursive: true })
  const { directory } = await endorsementAuthority(toolchain)
  await setUpTpm(toolchain, stateDirectory, directory, ['--pcr-banks', banks.join(',')], signal)
}

/** A running TPM emulator. It ends when the machine monitor closes the other end of its control channel. */
export interface RunningTpm {
  /** The end of the control channel for QEMU's `tpmdev`; destroy it here once QEMU has inherited it. */
  readonly control: Socket
  readonly process: NamespacedProcess
}

/**
 * Starts swtpm on its state; the control channel is an inherited descriptor, so there is no path to wait for. Its log gets
 * every command and every answer, behind what it has already: `observedBoot()` reads it. Secrets that a guest gives its
 * TPM are among them.
 */
export function startTpm(namespace: Namespace, stateDirectory: string, logPath: string): RunningTpm {
  // biome-ignore format: an option and its value on one line
  const command = namespace.tool([
    'swtpm', 'socket',
    '--tpm2',
    '--tpmstate', `dir=${stateDirectory}`,
    '--ctrl', 'type=unixio,clientfd=3,terminate',
    '--log', `file=${logPath},level=20`,
  ])
  const process = namespace.start(command, ['ignore', 'ignore', 'ignore', 'pipe'])
  return { control: process.child.stdio[3] as Socket, process }
}
