import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { BootwrightError } from '../../system/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'
import { manufactureTpm } from '../../tpm/index.ts'
import type { StoppedMachine } from '../machine.ts'
import { recordFault } from './fault-record.ts'
import { checkResponse, clearCommand, isLockedOut, maxTriesCommand, permanentCommand } from './tpm-commands.ts'

/** Between two boots of a machine: what can happen to its TPM while it is off. */
const ANSWER_MS = 30_000

/** TPM2_Clear, as from the firmware's setup: what was sealed to this TPM is lost. */
export async function clearTpm(stopped: StoppedMachine, toolchain: Toolchain): Promise<void> {
  await recordFault(stopped.directory, 'TPM cleared')
  await withTpm(stopped, toolchain, async (send) => checkResponse('TPM2_Clear', await send(clearCommand())))
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
  await withTpm(stopped, toolchain, async (send) => {
    checkResponse('TPM2_DictionaryAttackParameters', await send(maxTriesCommand(isLocked ? 0 : 32)))
    if (isLockedOut(await send(permanentCommand())) !== isLocked) {
      throw new BootwrightError('TOOL_FAILED', `The TPM is ${isLocked ? 'not ' : 'still '}locked after it was told to`)
    }
  })
}

/** Runs the machine's TPM by itself, started as after a power cut, for some commands. */
async function withTpm<T>(
  stopped: StoppedMachine,
  toolchain: Toolchain,
  use: (send: (command: Buffer) => Promise<Buffer>) => Promise<T>,
): Promise<T> {
  banksOf(stopped)
  // biome-ignore format: an option and its value on one line
  const [file = '', ...args] = toolchain.command([
    'swtpm', 'socket',
    '--tpm2',
    '--tpmstate', `dir=${tpmDirectory(stopped)}`,
    '--fd', '3',
    '--terminate',
    '--flags', 'not-need-init,startup-clear',
    '--log', `file=${join(stopped.directory, 'tpm.log')},level=1`,
  ]).argv
  // It ends with its socket, whatever ends this program.
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit').catch(() => undefined)
  const errors: Buffer[] = []
  child.stderr?.on('data', (bytes: Buffer) => errors.push(bytes))
  const socket = child.stdio[3] as Socket
  try {
    return await use((command) => exchange(socket, command, () => Buffer.concat(errors).toString().trim()))
  } finally {
    socket.destroy()
    await ended
  }
}

async function exchange(socket: Socket, command: Buffer, words: () => string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  let received = Buffer.alloc(0)
  const gone = (reason: string) =>
    reject(new BootwrightError('HELPER_EXITED', `swtpm did not answer: ${words() || reason}`))
  const take = (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
    if (received.length >= 6 && received.length >= received.readUInt32BE(2)) resolve(received)
  }
  const fail = (error: Error) => gone(error.message)
  const close = () => gone('it ended')
  const timer = setTimeout(() => gone(`nothing within ${ANSWER_MS} ms`), ANSWER_MS)
  socket.on('data', take).on('error', fail).on('close', close)
  try {
    socket.write(command)
    return await promise
  } finally {
    clearTimeout(timer)
    socket.off('data', take).off('error', fail).off('close', close)
    socket.on('error', () => undefined)
  }
}

function banksOf({ spec, name }: StoppedMachine) {
  if (spec.tpm !== 'absent') return spec.tpm.banks
  throw new BootwrightError('INVALID_ARGUMENT', `Machine "${name}" has no TPM that could fail`)
}

function tpmDirectory({ directory }: StoppedMachine): string {
  return join(directory, 'tpm')
}
