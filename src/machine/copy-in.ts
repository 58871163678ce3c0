import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { Guest } from './guest.ts'
import { describeExit } from './guest-exit.ts'
import type { GuestProcess } from './guest-process.ts'
import { packDirectory } from './host-tar.ts'

/** A larger file is not held in memory, here or there. */
const STREAMED_BYTES = 8 * 1024 * 1024

/**
 * Copies a file or a directory with all that is in it to `guestPath`, which is the name of the copy. Modes and symbolic
 * links are kept, owners are not: everything belongs to root. It is made aside and appears whole.
 *
 * A file that is there is replaced; a directory is not: `INVALID_ARGUMENT`.
 */
export async function copyIn(guest: Guest, toolchain: Toolchain, hostPath: string, guestPath: string): Promise<void> {
  if (!guestPath.startsWith('/')) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      `Expected an absolute path in the guest, found ${JSON.stringify(guestPath)}`,
    )
  }
  const facts = await lstat(hostPath).catch((cause: Error) => {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot copy ${hostPath} into the guest: ${cause.message}`, { cause })
  })
  const place = guestPath.replace(/(?<=.)\/+$/, '')
  const aside = `${place}.bw-${randomBytes(6).toString('hex')}`
  try {
    await prepareParent(guest, place, facts.isDirectory())
    if (facts.isDirectory()) await copyDirectory(guest, toolchain, hostPath, aside)
    else await copyEntry(guest, hostPath, aside)
    await guest.run(['mv', '-fT', '--', aside, place])
  } catch (error) {
    await guest.runUnchecked(['rm', '-rf', '--', aside]).catch(() => undefined)
    throw error
  }
}

async function prepareParent(guest: Guest, place: string, isDirectory: boolean): Promise<void> {
  // One question for all: does a directory stand in the way, and is there where to put it?
  const script = '[ -d "$1" ] && [ ! -L "$1" ] && exit 17; mkdir -p -- "$(dirname -- "$1")"'
  const { exitCode, stderr } = await guest.runUnchecked(['sh', '-c', script, 'sh', place])
  if (exitCode === 0) return
  if (exitCode !== 17) {
    throw new BootwrightError('GUEST_COMMAND_FAILED', `Cannot write ${place} in the guest: ${stderr.toString().trim()}`)
  }
  throw new BootwrightError('INVALID_ARGUMENT', `Cannot copy to ${place}: it is a directory in the guest already`, {
    hint: `The second path is the name of the copy: ${isDirectory ? 'remove that directory first' : `${place}/NAME`}.`,
  })
}

async function copyDirectory(guest: Guest, toolchain: Toolchain, hostPath: string, aside: string): Promise<void> {
  const hasTar = (await guest.runUnchecked(['tar', '--version'])).exitCode === 0
  if (!hasTar) return copyEntry(guest, hostPath, aside)
  await guest.run(['mkdir', '--', aside])
  const argv = ['tar', '--extract', '--file=-', '--preserve-permissions', '--numeric-owner', `--directory=${aside}`]
  await using process = await guest.spawn(argv)
  await packDirectory(toolchain, hostPath, process.stdin)
  await ended(process, argv)
}

/** A file, a symbolic link, or a directory, one thing after the other. */
async function copyEntry(guest: Guest, hostPath: string, guestPath: string): Promise<void> {
  const facts = await lstat(hostPath)
  if (facts.isSymbolicLink()) await guest.run(['ln', '-s', '--', await readlink(hostPath), guestPath])
  else if (facts.isDirectory()) {
    await guest.run(['mkdir', '--', guestPath])
    for (const name of await readdir(hostPath)) await copyEntry(guest, join(hostPath, name), join(guestPath, name))
    // Last: a directory that nobody may write to can be filled before.
    await guest.run(['chmod', (facts.mode & 0o7777).toString(8), '--', guestPath])
  } else if (!facts.isFile()) {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot copy ${hostPath}: it is no file, directory or symbolic link`)
  } else if (facts.size <= STREAMED_BYTES) {
    await guest.writeFile(guestPath, await readFile(hostPath), facts.mode & 0o7777)
  } else await streamFile(guest, hostPath, guestPath, facts.mode & 0o7777)
}

async function streamFile(guest: Guest, hostPath: string, guestPath: string, mode: number): Promise<void> {
  const argv = ['sh', '-c', 'cat >"$1" && chmod "$2" "$1"', 'sh', guestPath, mode.toString(8)]
  await using process = await guest.spawn(argv)
  await pipeline(createReadStream(hostPath), process.stdin).catch(() => undefined)
  await ended(process, ['cat', guestPath])
}

async function ended(process: GuestProcess, argv: readonly string[]): Promise<void> {
  const said = await Array.fromAsync(process.stderr as AsyncIterable<Buffer>)
  const exit = await process.exited
  if (exit.exitCode === 0) return
  const words = Buffer.concat(said).toString().trim().split('\n').slice(-5).join('\n')
  throw new BootwrightError(
    'GUEST_COMMAND_FAILED',
    `${argv.join(' ')} failed in the guest with ${describeExit(exit)}: ${words}`,
    { detail: { exitCode: exit.exitCode } },
  )
}
