import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GuestChannel } from './channel.ts'
import { SERVE } from './channel-script.ts'

let directory: string
let guest: ChildProcess
let channel: GuestChannel

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-channel-'))
  guest = spawn('sh', ['-c', SERVE], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, BOOTWRIGHT_CHANNEL_DIRECTORY: join(directory, 'run') },
    detached: true,
  })
  channel = new GuestChannel(guest.stdio[3] as Socket)
})

/** Ends the guest and all that it has started; it may have gone already. */
function endGuest(): void {
  try {
    if (guest.pid !== undefined) process.kill(-guest.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

afterEach(() => {
  endGuest()
  rmSync(directory, { recursive: true, force: true })
})

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))

describe('GuestChannel', () => {
  it('is ready when the guest has spoken and answers', async () => {
    await channel.ready()
    expect((await channel.run(['true'])).exitCode).toBe(0)
  })

  it('keeps stdout, stderr and exit status apart', async () => {
    const result = await channel.run(['sh', '-c', 'printf out; printf err >&2; exit 3'])
    expect({ ...result, stdout: String(result.stdout), stderr: String(result.stderr) }).toEqual({
      exitCode: 3,
      stdout: 'out',
      stderr: 'err',
    })
  })

  it('hands words on as they are', async () => {
    const words = ['', ' ', "it's", '"', '$HOME', '`id`', '\\n', 'a\nb\n', '*', 'ü→', '-n', ';exit']
    const { stdout } = await channel.run(['printf', '%s\\0', ...words])
    expect(String(stdout).split('\0').slice(0, -1)).toEqual(words)
  })

  it('carries any bytes in and out', async () => {
    const { stdout } = await channel.run(['cat'], { input: everyByte })
    expect(stdout.equals(everyByte)).toBe(true)
  })

  it('carries 20 MiB in and out', async () => {
    const big = Buffer.alloc(20 * 1024 * 1024, everyByte)
    const { stdout } = await channel.run(['cat'], { input: big })
    expect(stdout.equals(big)).toBe(true)
  })

  it('is not confused by output that looks like a reply', async () => {
    const fake = `${'0123456789abcdef'.repeat(2)} 0\n`
    const { stdout } = await channel.run(['printf', '%s', fake.repeat(3)])
    expect(String(stdout)).toBe(fake.repeat(3))
  })

  it('runs several commands at once', async () => {
    const order: string[] = []
    const note = (name: string) => () => order.push(name)
    const slow = channel.run(['sleep', '1']).then(note('slow'))
    await channel.run(['true']).then(note('quick'))
    await slow
    expect(order).toEqual(['quick', 'slow'])
  })

  it('gives each of many commands its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) =>
        String((await channel.run(['echo', String(index)])).stdout).trim(),
      ),
    )
    expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => String(index)))
  })

  it('says that a program does not exist', async () => {
    expect((await channel.run(['no-such-program'])).exitCode).toBe(127)
  })

  it('ends a command that takes too long', async () => {
    const { exitCode } = await channel.run(['sleep', '1000'], { timeoutMs: 200 })
    expect(exitCode).toBe(143)
  })

  it('ends a command whose caller has gone, and goes on', async () => {
    const abort = new AbortController()
    const sleeping = channel.run(['sleep', '1000'], { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    expect(String((await channel.run(['echo', 'still here'])).stdout)).toBe('still here\n')
  })

  it('writes a file whole, with its mode, and reads it back', async () => {
    const path = join(directory, 'made on the way', 'file')
    await channel.writeFile(path, everyByte, 0o600)
    expect(readFileSync(path).equals(everyByte)).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await channel.readFile(path)).equals(everyByte)).toBe(true)
  })

  it('says why it cannot write or read, and goes on', async () => {
    await expect(channel.writeFile('/proc/none/file', everyByte)).rejects.toThrow(
      /Cannot write \/proc\/none\/file.*proc/s,
    )
    await expect(channel.readFile('/proc/none')).rejects.toThrow(/Cannot read \/proc\/none.*No such file/s)
    expect((await channel.run(['true'])).exitCode).toBe(0)
  })

  it('refuses words with NUL and relative paths', async () => {
    await expect(channel.run(['a\0b'])).rejects.toThrow('NUL')
    await expect(channel.writeFile('relative', '')).rejects.toThrow('absolute path')
  })

  it('rejects what waits when the machine goes', async () => {
    const sleeping = channel.run(['sleep', '1000'])
    endGuest()
    await expect(sleeping).rejects.toMatchObject({ code: 'GUEST_GONE' })
    await expect(channel.run(['true'])).rejects.toMatchObject({ code: 'GUEST_GONE' })
  })
})
