import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { TpmSend } from './execute.ts'

const ANSWER_MS = 30_000

/**
 * Runs a TPM by itself, started as after a power cut, for some commands: `send` resolves with the answer to each.
 *
 * @param stateDirectory made by {@link manufactureTpm}; nobody else uses it meanwhile
 */
export async function withTpm<T>(
  toolchain: Toolchain,
  stateDirectory: string,
  logPath: string,
  use: (send: TpmSend) => Promise<T>,
): Promise<T> {
  // biome-ignore format: an option and its value on one line
  const [file = '', ...args] = toolchain.command([
    'swtpm', 'socket',
    '--tpm2',
    '--tpmstate', `dir=${stateDirectory}`,
    '--fd', '3',
    '--terminate',
    '--flags', 'not-need-init,startup-clear',
    '--log', `file=${logPath},level=1`,
  ]).argv
  // It ends with its socket, whatever ends this program.
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit').catch(() => undefined)
  const errors: Buffer[] = []
  child.stderr?.on('data', (bytes: Buffer) => errors.push(bytes))
  const socket = child.stdio[3] as Socket
  // Between two commands nobody else would hear of it.
  socket.on('error', () => undefined)
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
  }
}
