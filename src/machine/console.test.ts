import { duplexPair, PassThrough } from 'node:stream'
import { describe, expect, it, vi } from 'vitest'
import { ConsoleLog } from './console.ts'

/** A console whose guest says these bytes, chunk by chunk. */
function consoleOf(...chunks: (string | Uint8Array)[]): { log: ConsoleLog; lines: string[]; typed: () => string } {
  const [ours, guest] = duplexPair()
  const log = new ConsoleLog(ours)
  const lines: string[] = []
  log.onLine((line) => lines.push(line))
  for (const chunk of chunks) guest.write(chunk)
  return { log, lines, typed: () => String(guest.read() ?? '') }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 300; turn++) await new Promise(setImmediate)
}

describe('ConsoleLog lines', () => {
  it('are whole, whatever the chunks, and the rest is the partial line', async () => {
    const { log, lines } = consoleOf('fir', 'st\r\nsecond\r\nlog', 'in: ')
    await settled()
    expect(lines).toEqual(['first', 'second'])
    expect(log.partialLine).toBe('login: ')
    expect(log.byteCount).toBe('first\r\nsecond\r\nlogin: '.length)
  })

  it('include the bytes that a listener is told of', async () => {
    const { log } = consoleOf('login', ': ')
    const seen: string[] = []
    log.onBytes(() => seen.push(log.partialLine))
    await settled()
    expect(seen).toEqual(['login', 'login: '])
  })

  it.for([
    ["OVMF's start", '\x1b[2J\x1b[001;001H\x1b[=3h\x1b[2J\x1b[001;001HBdsDxe: x', 'BdsDxe: x'],
    ['a resize request', '\x1b[8;056;240tshell', 'shell'],
    ['colours', '[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mx.service\x1b[0m.', '[  OK  ] Started x.service.'],
    ['an operating system command', '\x1b]3008;start=1;type=boot\x1b\\hello\x1b]0;title\x07!', 'hello!'],
    ['a device control string', '\x1bP+q544e\x1b\\name', 'name'],
    ['two-character sequences', '\x1b7\x1b(Bx\x1b8\x1bc', 'x'],
    ['control characters, but not the tab', 'a\x00\x07\x08b\tc\x7f', 'ab\tc'],
  ])('are without %s', async ([, raw, text]) => {
    const { lines } = consoleOf(`${raw}\r\n`)
    await settled()
    expect(lines).toEqual([text])
  })

  it('are the same when every byte comes alone, letters of several bytes too', async () => {
    const bytes = Buffer.from('\x1b[1mgrün → 🙂\x1b[0m\r\n')
    const { lines } = consoleOf(...[...bytes].map((byte) => Uint8Array.of(byte)))
    await settled()
    expect(lines).toEqual(['grün → 🙂'])
  })

  it('survive bytes that are no text', async () => {
    const { lines } = consoleOf(Uint8Array.of(0x61, 0xff, 0xfe, 0xc3, 0x28, 0x0a))
    await settled()
    expect(lines).toEqual(['a\uFFFD\uFFFD\uFFFD('])
  })

  it('are cut when they do not end, and nothing is lost', async () => {
    const chunk = 'x'.repeat(10_000)
    const { log, lines } = consoleOf(...Array.from({ length: 100 }, () => chunk), '\n')
    await settled()
    expect(lines.join('').length).toBe(1_000_000)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(30_000)
    expect(log.partialLine).toBe('')
  })

  it('reach a listener until it stops listening', async () => {
    const guest = new PassThrough()
    const log = new ConsoleLog(guest)
    const lines: string[] = []
    const stop = log.onLine((line) => lines.push(line))
    guest.write('one\n')
    await settled()
    stop()
    guest.write('two\n')
    await settled()
    expect(lines).toEqual(['one'])
  })
})

describe('ConsoleLog.lastLines()', () => {
  it('shows what a terminal shows: what was overwritten is gone', async () => {
    const { log } = consoleOf('kept\r\n', ' 10 %\r 90 %\r\n', 'wiped\x1b[2K\rnew\r\n')
    await settled()
    expect(await log.lastLines(10)).toEqual(['kept', ' 90 %', 'new'])
  })

  it('gives the last ones, oldest first, without blank ones', async () => {
    const { log } = consoleOf('1\r\n2\r\n\r\n   \r\n3\r\n4')
    await settled()
    expect(await log.lastLines(3)).toEqual(['2', '3', '4'])
  })

  it('keeps to itself what it cannot make sense of', async () => {
    const complaints = vi.spyOn(console, 'error')
    const { log } = consoleOf('\x7f\x1b[999999999999;\x7f\x1b\x80text\r\n')
    await settled()
    expect((await log.lastLines(1)).join('')).toContain('text')
    expect(complaints).not.toHaveBeenCalled()
    complaints.mockRestore()
  })

  it('survives 100 MB without a pause, and shows their end', async () => {
    const guest = new PassThrough()
    const log = new ConsoleLog(guest)
    const flood = Buffer.from('\x1b[1mall work and no play\x1b[0m \xff\xc3\r\n'.repeat(32_768), 'latin1')
    const before = process.memoryUsage.rss()
    for (let megabyte = 0; megabyte < 100; megabyte++) {
      if (!guest.write(flood)) await new Promise((resolve) => guest.once('drain', resolve))
    }
    guest.write('\r\nthe end')
    await settled()
    expect(log.byteCount).toBe(100 * flood.length + '\r\nthe end'.length)
    expect((await log.lastLines(2)).at(-1)).toBe('the end')
    expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024)
  })

  it('is empty for a guest that said nothing', async () => {
    expect(await consoleOf().log.lastLines(5)).toEqual([])
  })
})

describe('ConsoleLog.write()', () => {
  it('types into the console, and is silent when that is gone', async () => {
    const { log, typed } = consoleOf('login: ')
    log.write('root\n')
    await settled()
    expect(typed()).toBe('root\n')
    const gone = new PassThrough()
    const closed = new ConsoleLog(gone)
    gone.destroy(new Error('reset'))
    expect(() => closed.write('x')).not.toThrow()
  })
})
