import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** Streams a tar archive of a directory's content into `target`. Everything in it belongs to root. */
export async function packDirectory(toolchain: Toolchain, directory: string, target: Writable): Promise<void> {
  const argv = [
    'tar',
    '--create',
    '--file=-',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    `--directory=${directory}`,
    '.',
  ]
  const child = start(toolchain, argv, ['ignore', 'pipe', 'pipe'])
  const ended = outcome(child)
  // The guest's own words are better than that it does not read any more.
  await pipeline(child.stdout as Readable, target).catch(() => child.kill())
  await ended
}

/** Unpacks a tar archive into a directory that is there, with the modes in it. */
export async function unpackInto(toolchain: Toolchain, source: Readable, directory: string): Promise<void> {
  const argv = ['tar', '--extract', '--file=-', '--preserve-permissions', '--no-same-owner', `--directory=${directory}`]
  const child = start(toolchain, argv, ['pipe', 'ignore', 'pipe'])
  const ended = outcome(child)
  await Promise.all([pipeline(source, child.stdin as Writable).catch(() => child.kill()), ended])
}

function start(toolchain: Toolchain, argv: readonly string[], stdio: ('ignore' | 'pipe')[]) {
  const command = toolchain.command(argv)
  const [file = '', ...args] = command.argv
  return spawn(file, args, { stdio, cwd: command.cwd, env: { ...process.env, ...command.env } })
}

async function outcome(child: ReturnType<typeof start>): Promise<void> {
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk).slice(-2000)
  })
  const [exitCode, signal] = await once(child, 'close')
  // Ended by us, or by the end of its pipe: whoever is at the other end knows why.
  if (exitCode === 0 || signal === 'SIGTERM' || signal === 'SIGPIPE') return
  throw new BootwrightError('TOOL_FAILED', `tar failed with ${signal ?? `status ${exitCode}`}: ${said.trim()}`)
}
