import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GuestChannel } from './channel.ts'
import { isAlive, type ShellGuest, shellGuest } from './shell-guest.test-support.ts'

let guest: ShellGuest
let channel: GuestChannel

beforeEach(() => {
  guest = shellGuest()
  channel = guest.channel
})

afterEach(() => guest[Symbol.dispose]())

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))

describe('GuestProcess', () => {
  it('has its streams apart, and its status', async () => {
    const process = await channel.spawn(['sh', '-c', 'printf out; printf err >&2; exit 3'])
    const [out, err, exit] = await Promise.all([text(process.stdout), text(process.stderr), process.exited])
    expect({ out, err, exit }).toEqual({ out: 'out', err: 'err', exit: { exitCode: 3 } })
  })

  it('answers while it runs', async () => {
    const process = await channel.spawn(['sed', '-u', 's/^/> /'])
    const answers = process.stdout[Symbol.asyncIterator]()
    for (const line of ['one', 'two']) {
      process.stdin.write(`${line}\n`)
      expect(String((await answers.next()).value)).toBe(`> ${line}\n`)
    }
    process.stdin.end()
    expect((await answers.next()).done).toBe(true)
    expect(await process.exited).toEqual({ exitCode: 0 })
  })

  it('carries 5 MiB of any bytes in and out', async () => {
    const big = Buffer.alloc(5 * 1024 * 1024, everyByte)
    const process = await channel.spawn(['cat'])
    process.stdin.end(big)
    const pieces: Buffer[] = []
    for await (const piece of process.stdout) pieces.push(piece)
    expect(Buffer.concat(pieces).equals(big)).toBe(true)
  })

  it('is held up by a reader that does not read, and other commands are not', async () => {
    const endless = await channel.spawn(['sh', '-c', `yes; touch ${join(guest.directory, 'over')}`])
    let held = -1
    while (endless.stdout.readableLength !== held || held === 0) {
      held = endless.stdout.readableLength
      for (let i = 0; i < 20; i++) await channel.run(['true'])
    }
    expect(held).toBeLessThan(1024 * 1024)
    endless.kill('SIGKILL')
    expect(await endless.exited).toEqual({ exitCode: 137, signal: 'SIGKILL' })
  })

  it.for(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGKILL'] as const)(
    'is ended by %s, with what it started',
    async (signal) => {
      const process = await channel.spawn(['sh', '-c', 'sleep 1000 & echo $!; wait'])
      const [first] = await process.stdout.take(1).toArray()
      process.kill(signal)
      expect(await process.exited).toMatchObject({ signal })
      // A background job of a shell ignores interrupts.
      if (signal === 'SIGINT' || signal === 'SIGQUIT') await channel.run(['kill', String(first).trim()])
      await expect.poll(() => isAlive(String(first).trim())).toBe(false)
    },
  )

  it('fails the writer when it does not read any more', async () => {
    const process = await channel.spawn(['true'])
    await process.exited
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => process.stdin.once('error', resolve))
    process.stdin.write('too late')
    expect(await failed).toMatchObject({ code: 'EPIPE' })
  })

  it('fails the writer when it has closed its input', async () => {
    const process = await channel.spawn(['sh', '-c', 'exec <&-; echo closed; sleep 1000'])
    await process.stdout.take(1).toArray()
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => process.stdin.once('error', resolve))
    process.stdin.write('nobody reads this')
    expect(await failed).toMatchObject({ code: 'EPIPE' })
    process.kill()
    expect(await process.exited).toMatchObject({ signal: 'SIGTERM' })
  })

  it('does not exist: the status is that of a shell', async () => {
    const process = await channel.spawn(['no-such-program'])
    expect(await text(process.stderr)).toContain('no-such-program')
    expect((await process.exited).exitCode).toBe(127)
  })

  it('can be many at once', async () => {
    const processes = await Promise.all(
      Array.from({ length: 8 }, (_, index) => channel.spawn(['sh', '-c', `sleep 0.2; echo ${index}`])),
    )
    const said = await Promise.all(processes.map(({ stdout }) => text(stdout)))
    expect(said).toEqual(Array.from({ length: 8 }, (_, index) => `${index}\n`))
  })

  it('is over when its scope is left, or its signal given', async () => {
    const abort = new AbortController()
    const aborted = await channel.spawn(['sleep', '1000'], { signal: abort.signal })
    {
      await using process = await channel.spawn(['yes'])
      expect(String((await process.stdout.take(1).toArray())[0])).toContain('y\n')
    }
    abort.abort()
    expect(await aborted.exited).toMatchObject({ signal: 'SIGKILL' })
    await expect.poll(() => readdirSync(guest.channelDirectory)).toEqual(['turn'])
  })

  it('rejects when the machine goes, even where nobody listens', async () => {
    const process = await channel.spawn(['sleep', '1000'])
    guest.end()
    await expect(process.exited).rejects.toMatchObject({ code: 'GUEST_GONE' })
    await expect(text(process.stdout)).rejects.toMatchObject({ code: 'GUEST_GONE' })
  })
})
