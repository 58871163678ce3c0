import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { chmod, lstat, mkdir, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import type { Guest } from './guest.ts'
import { describeExit } from './guest-exit.ts'
import type { GuestProcess } from './guest-process.ts'
import { unpackInto } from './host-tar.ts'

/**
 * Copies a file or a directory with all that is in it out of the guest to `hostPath`, which is the name of the copy. Modes
 * and symbolic links are kept; everything belongs to us. It is made aside and appears whole.
 *
 * A file that is there is replaced; a directory is not: `INVALID_ARGUMENT`.
 */
export async function copyOut(guest: Guest, toolchain: Toolchain, guestPath: string, hostPath: string): Promise<void> {
  const there = await lstat(hostPath).catch(() => undefined)
  if (there?.isDirectory() === true) {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot copy to ${hostPath}: it is a directory already`, {
      hint: 'The second path is the name of the copy.',
    })
  }
  const { kind, mode } = await factsOf(guest, guestPath)
  await mkdir(dirname(hostPath), { recursive: true })
  const aside = `${hostPath}.bw-${randomBytes(6).toString('hex')}`
  try {
    if (kind === 'd') await copyDirectory(guest, toolchain, guestPath, aside)
    else await copyFile(guest, guestPath, aside)
    await chmod(aside, mode)
    await rename(aside, hostPath)
  } catch (error) {
    await rm(aside, { recursive: true, force: true })
    throw error
  }
}

/** What a path leads to. */
async function factsOf(guest: Guest, path: string): Promise<{ kind: 'f' | 'd'; mode: number }> {
  const { exitCode, stdout, stderr } = await guest.runUnchecked(['stat', '--dereference', '--format=%f', '--', path])
  if (exitCode !== 0) {
    throw new BootwrightError('GUEST_COMMAND_FAILED', `Cannot copy ${path}: ${stderr.toString().trim()}`)
  }
  const raw = Number.parseInt(stdout.toString(), 16)
  // S_IFMT of inode(7).
  const kind = raw & 0o170000
  if (kind === 0o100000) return { kind: 'f', mode: raw & 0o7777 }
  if (kind === 0o040000) return { kind: 'd', mode: raw & 0o7777 }
  throw new BootwrightError('INVALID_ARGUMENT', `Cannot copy ${path} out of the guest: it is no file or directory`)
}

async function copyFile(guest: Guest, guestPath: string, aside: string): Promise<void> {
  await using process = await guest.spawn(['cat', '--', guestPath])
  const said = words(process)
  await pipeline(process.stdout, createWriteStream(aside, { mode: 0o600 }))
  await expectSuccess(process, `cat ${guestPath}`, said)
}

async function copyDirectory(guest: Guest, toolchain: Toolchain, guestPath: string, aside: string): Promise<void> {
  await mkdir(aside)
  const hasTar = (await guest.runUnchecked(['tar', '--version'])).exitCode === 0
  if (!hasTar) return copyTree(guest, guestPath, aside)
  await using process = await guest.spawn(['tar', '--create', '--file=-', `--directory=${guestPath}`, '.'])
  const said = words(process)
  // A broken archive is what the guest's tar has to explain.
  const unpacked = unpackInto(toolchain, process.stdout, aside)
  unpacked.catch(() => undefined)
  await Promise.race([process.exited, unpacked.then(() => process.exited)])
  await expectSuccess(process, `tar ${guestPath}`, said)
  await unpacked
}

/** Without tar in the guest: one thing after the other. */
async function copyTree(guest: Guest, guestPath: string, aside: string): Promise<void> {
  const { stdout } = await guest.runUnchecked([
    'find',
    `${guestPath}/.`,
    '-mindepth',
    '1',
    '-printf',
    '%y %m %P\\0%l\\0',
  ])
  const words = stdout.toString().split('\0')
  const modes: [path: string, mode: number][] = []
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [, kind, mode = '0', name = ''] = /^(.) (\d+) (.*)$/s.exec(words[index] ?? '') ?? []
    const path = join(aside, name)
    if (!path.startsWith(`${aside}/`)) continue
    if (kind === 'l') {
      await symlink(words[index + 1] ?? '', path)
      continue
    }
    if (kind === 'd') await mkdir(path, { mode: 0o700 })
    else if (kind === 'f') await copyFile(guest, join(guestPath, name), path)
    else continue
    modes.push([path, Number.parseInt(mode, 8)])
  }
  // From the inside out: a directory that nobody may write to can be filled before.
  for (const [path, mode] of modes.reverse()) await chmod(path, mode)
}

function words(process: GuestProcess): Promise<Buffer[]> {
  const said = Array.fromAsync(process.stderr as AsyncIterable<Buffer>)
  said.catch(() => undefined)
  return said
}

async function expectSuccess(process: GuestProcess, what: string, said: Promise<Buffer[]>): Promise<void> {
  const exit = await process.exited
  if (exit.exitCode === 0) return
  const last = Buffer.concat(await said)
    .toString()
    .trim()
    .split('\n')
    .slice(-5)
    .join('\n')
  throw new BootwrightError('GUEST_COMMAND_FAILED', `${what} failed in the guest with ${describeExit(exit)}: ${last}`, {
    detail: { exitCode: exit.exitCode },
  })
}
