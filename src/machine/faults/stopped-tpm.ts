import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../../system/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'
import {
  checkResponse,
  clearCommand,
  isLockedOut,
  manufactureTpm,
  maxTriesCommand,
  permanentCommand,
  withTpm,
} from '../../tpm/index.ts'
import type { StoppedMachine } from '../machine.ts'
import { recordFault } from './fault-record.ts'

/** TPM2_Clear, as from the firmware's setup: what was sealed to this TPM is lost. */
export async function clearTpm(stopped: StoppedMachine, toolchain: Toolchain): Promise<void> {
  await recordFault(stopped.directory, 'TPM cleared')
  await runTpm(stopped, toolchain, async (send) => checkResponse('TPM2_Clear', await send(clearCommand())))
}

/** Another TPM in its place: a new mainboard. Nothing of the old one is left. */
export async function replaceTpm(stopped: StoppedMachine, toolchain: Toolchain): Promise<void> {
  const banks = banksOf(stopped)
  await recordFault(stopped.directory, 'TPM replaced')
  const directory = tpmDirectory(stopped)
  await rm(directory, { recursive: true, force: true })
  await manufactureTpm(toolchain, directory, banks)
}

/** Dictionary attack lockout: as if somebody had tried too many passwords. `false` ends it. */
export async function lockTpm(stopped: StoppedMachine, toolchain: Toolchain, isLocked = true): Promise<void> {
  await recordFault(stopped.directory, isLocked ? 'TPM locked out' : 'TPM lockout over')
  await runTpm(stopped, toolchain, async (send) => {
    checkResponse('TPM2_DictionaryAttackParameters', await send(maxTriesCommand(isLocked ? 0 : 32)))
    if (isLockedOut(await send(permanentCommand())) !== isLocked) {
      throw new BootwrightError('TOOL_FAILED', `The TPM is ${isLocked ? 'not ' : 'still '}locked after it was told to`)
    }
  })
}

function runTpm<T>(
  stopped: StoppedMachine,
  toolchain: Toolchain,
  use: (send: (command: Buffer) => Promise<Buffer>) => Promise<T>,
): Promise<T> {
  banksOf(stopped)
  return withTpm(toolchain, tpmDirectory(stopped), join(stopped.directory, 'tpm.log'), use)
}

function banksOf({ spec, name }: StoppedMachine) {
  if (spec.tpm !== 'absent') return spec.tpm.banks
  throw new BootwrightError('INVALID_ARGUMENT', `Machine "${name}" has no TPM that could fail`)
}

function tpmDirectory({ directory }: StoppedMachine): string {
  return join(directory, 'tpm')
}
