import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BootwrightError } from '../system/index.ts'
import { GuestChannel } from './channel.ts'
import { CHANNEL_BANNER } from './channel-script.ts'
import { isAlive, type ShellGuest, shellGuest } from './shell-guest.test-support.ts'

let guest: ShellGuest
let channel: GuestChannel

beforeEach(() => {
  guest = shellGuest()
  channel = guest.channel
})

afterEach(() => guest[Symbol.dispose]())

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

  it('ends a command that takes too long, and what that has started', async () => {
    const mark = join(guest.directory, 'alive')
    const command = ['sh', '-c', `sh -c 'echo $$ >${mark}; exec sleep 1000'; true`]
    await expect(channel.run(command, { timeoutMs: 500 })).rejects.toMatchObject({
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringMatching(/did not end in the guest within 500 ms; it was ended with SIGTERM/),
      detail: { timeoutMs: 500, exitCode: 143 },
    })
    const pid = readFileSync(mark, 'utf8').trim()
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  it('says which signal has ended a command', async () => {
    expect(await channel.run(['sh', '-c', 'kill -9 $$'])).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
    expect(await channel.run(['sh', '-c', 'exit 77'])).not.toHaveProperty('signal')
  })

  it('gives commands the usual mask, and none of its own descriptors', async () => {
    const { stdout } = await channel.run(['sh', '-c', 'umask; ls /proc/self/fd'])
    expect(String(stdout).split('\n').slice(0, 4)).toEqual(['0022', '0', '1', '2'])
    expect(String(stdout).split('\n')).not.toContain('4')
  })

  it('ends a command whose caller has gone, and goes on', async () => {
    const abort = new AbortController()
    const sleeping = channel.run(['sleep', '1000'], { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    expect(String((await channel.run(['echo', 'still here'])).stdout)).toBe('still here\n')
  })

  it('writes a file whole, with its mode, and reads it back', async () => {
    const path = join(guest.directory, 'made on the way', 'file')
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
    guest.end()
    await expect(sleeping).rejects.toMatchObject({ code: 'GUEST_GONE' })
    await expect(channel.run(['true'])).rejects.toMatchObject({ code: 'GUEST_GONE' })
  })

  it('leaves nothing of a command behind', async () => {
    await channel.run(['cat'], { input: everyByte })
    await channel.run(['no-such-program'])
    await expect.poll(() => readdirSync(guest.channelDirectory)).toEqual(['turn'])
  })

  it('outlives its own end in the guest: what waited is rejected, the next command runs', async () => {
    await channel.ready()
    const sleeping = channel.run(['sleep', '1000'])
    sleeping.catch(() => undefined)
    const reopened = channel.reopened()
    guest.restart()
    channel.guestClosed()
    const waiting = channel.run(['echo', 'new'])
    await expect(sleeping).rejects.toMatchObject({ code: 'GUEST_GONE' })
    await reopened
    expect(String((await waiting).stdout)).toBe('new\n')
  })
})

describe('GuestChannel with an end that', () => {
  const GUEST = 'a'.repeat(32)

  function scripted(): { channel: GuestChannel; say(text: string): void; heard: () => string } {
    const [ours, theirs] = duplexPair()
    let heard = ''
    theirs.on('data', (chunk: Buffer) => {
      heard += chunk
    })
    return { channel: new GuestChannel(ours), say: (text) => theirs.write(text), heard: () => heard }
  }
  const BANNER = `\n${CHANNEL_BANNER}\n`
  const settled = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  }

  it('is away is not written to', async () => {
    const { channel, say, heard } = scripted()
    void channel.run(['true']).catch(() => undefined)
    say('BdsDxe: loading Boot0001\n')
    await settled()
    expect(heard()).toBe('')
    say(BANNER)
    await expect.poll(heard).toMatch(/^run [0-9a-f]{32} true\n$/)
    channel.guestClosed()
    void channel.run(['false']).catch(() => undefined)
    await settled()
    expect(heard()).not.toContain('false')
  })

  it.for([
    ['before', ['close', 'banner']],
    ['after', ['banner', 'close']],
  ])('breaks off in a reply comes back, with the news of its end %s the banner', async ([, order]) => {
    const { channel, say, heard } = scripted()
    say(BANNER)
    const cut = channel.run(['cut'])
    cut.catch(() => undefined)
    await expect.poll(heard).toMatch(/cut\n$/)
    const boundary = heard().split(' ')[1]
    say(`${boundary} o\nhalf of what it`)
    await settled()
    for (const what of order ?? []) {
      if (what === 'close') channel.guestClosed()
      else say(BANNER)
      await settled()
    }
    await expect(cut).rejects.toMatchObject({ code: 'GUEST_GONE' })
    const next = channel.run(['next'])
    await expect.poll(heard).toMatch(/next\n$/)
    const again = heard().split(' ').at(-2)
    say(`${again} x 0\n`)
    expect((await next).exitCode).toBe(0)
  })

  it('restarts between replies is known by its banner alone, and the late news of its end changes nothing', async () => {
    const { channel, say, heard } = scripted()
    say(BANNER)
    const lost = channel.run(['lost'])
    lost.catch(() => undefined)
    await expect.poll(heard).toMatch(/lost\n$/)
    say(BANNER)
    await expect(lost).rejects.toMatchObject({ code: 'GUEST_GONE' })
    channel.guestClosed()
    const next = channel.run(['next'])
    await expect.poll(heard).toMatch(/next\n$/)
    say(`${heard().split(' ').at(-2)} x 3\n`)
    expect((await next).exitCode).toBe(3)
  })

  it('closes because the machine goes off lets that be the reason', async () => {
    const { channel, say, heard } = scripted()
    say(BANNER)
    const cut = channel.run(['cut'])
    cut.catch(() => undefined)
    await expect.poll(heard).toMatch(/cut\n$/)
    channel.guestClosed()
    await settled()
    channel.fail(new BootwrightError('GUEST_GONE', 'The machine switched itself off'))
    await expect(cut).rejects.toThrow('switched itself off')
  })

  it('never answers is told apart from a command that takes long', { timeout: 20_000 }, async () => {
    const { channel, say, heard } = scripted()
    say(BANNER)
    await expect(channel.run(['stuck'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'GUEST_SILENT' })
    expect(heard()).toMatch(/stop TERM [0-9a-f]{32}\nstop KILL /)
  })

  it('speaks garbage does not confuse it', async () => {
    const { channel, say, heard } = scripted()
    say(`\xff\x00${'x'.repeat(100_000)}\n${GUEST} o\nnobody asked${GUEST}\n${GUEST} x 0\n${GUEST} q\n${BANNER}`)
    const run = channel.run(['true'])
    await expect.poll(heard).toMatch(/true\n$/)
    say(`${heard().split(' ')[1]} x 5\n`)
    expect((await run).exitCode).toBe(5)
  })
})

describe('a guest that hangs', () => {
  const SILENCE_MS = 1_000
  let hanging: ShellGuest

  beforeEach(() => {
    hanging = shellGuest({}, SILENCE_MS)
  })

  afterEach(() => hanging[Symbol.dispose]())

  it('is found out by all that wait for it, and may come back', async () => {
    await hanging.channel.ready()
    const process = await hanging.channel.spawn(['sleep', '1000'])
    hanging.freeze()
    const silent = { code: 'GUEST_SILENT', message: expect.stringContaining('no sign of life for 1 s') }
    await Promise.all([
      expect(hanging.channel.run(['true'])).rejects.toMatchObject(silent),
      expect(hanging.channel.readFile('/etc/os-release')).rejects.toMatchObject(silent),
      expect(process.exited).rejects.toMatchObject(silent),
    ])
    hanging.restart()
    hanging.channel.guestClosed()
    expect(String((await hanging.channel.run(['echo', 'back'])).stdout)).toBe('back\n')
  })

  it('is told apart from a command that takes longer than that, and from a machine that is paused', async () => {
    expect((await hanging.channel.run(['sleep', String((2 * SILENCE_MS) / 1000)])).exitCode).toBe(0)
    hanging.freeze()
    hanging.channel.isPaused = true
    const states: string[] = []
    const asked = hanging.channel.run(['true']).then(
      () => states.push('answered'),
      () => states.push('rejected'),
    )
    await new Promise((resolve) => setTimeout(resolve, 2 * SILENCE_MS))
    expect(states).toEqual([])
    hanging.channel.isPaused = false
    await asked
    expect(states).toEqual(['rejected'])
  })
})
