import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, describe } from 'vitest'
import { expect, type TestMachine, test } from '../src/testing/vitest.ts'

const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'
/** Names and directories of the machines that were bad. */
const bad: { name: string; directory: string }[] = []

function remember({ name, directory }: Pick<TestMachine, 'name' | 'directory'>): void {
  bad.push({ name, directory })
}

/** Processes of this host that have a word in their command line. */
async function processesWith(word: string): Promise<string[]> {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(numbers.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(word))
}

// When all tests are over, and so all their machines.
afterAll(async () => {
  expect(bad.length).toBeGreaterThan(0)
  for (const { name, directory } of bad) {
    expect(existsSync(directory), directory).toBe(false)
    expect(await processesWith(name)).toEqual([])
  }
})

describe('a guest that', () => {
  test('never answers is silent: all that wait for it are told, with the end of its console', async ({ boot }) => {
    await using machine = await boot('minimal', { silenceMs: 10_000 })
    remember(machine)
    await machine.run(['sh', '-c', 'echo "<1>the last word" >/dev/kmsg'])
    const sleeper = await machine.spawn(['sleep', '1000'])
    // It answers this one still: the reply is another process's.
    const channel = 'kill -STOP $(systemctl show --property=MainPID --value bootwright-channel.service)'
    await machine.run(['sh', '-c', channel])
    const silent = expect.objectContaining({ code: 'GUEST_SILENT' })
    await Promise.all([
      expect(machine.run(['true'])).rejects.toMatchObject({
        code: 'GUEST_SILENT',
        message: expect.stringMatching(/no sign of life for 10 s[\s\S]*The end of its console[\s\S]*the last word/),
      }),
      expect(machine.readFile('/etc/os-release')).rejects.toEqual(silent),
      expect(sleeper.exited).rejects.toEqual(silent),
    ])
  })

  test('switches itself off in the middle of a command is gone', async ({ boot }) => {
    await using machine = await boot('minimal')
    remember(machine)
    const gone = { code: 'GUEST_GONE', message: expect.stringMatching(/is off$|switched itself off/m) }
    await Promise.all([
      expect(machine.run(['sleep', '1000'])).rejects.toMatchObject(gone),
      expect(machine.run(['systemctl', 'poweroff', '-ff'])).rejects.toMatchObject(gone),
    ])
    await expect(machine.run(['true'])).rejects.toMatchObject(gone)
  })

  test.runIf(isAll)('floods its console with 100 MB, no text among them, is stopped', async ({ boot }) => {
    await using machine = await boot('minimal')
    remember(machine)
    // Whoever else has the terminal open may hang it up.
    const flood = `line=$(head -c 4000 /dev/zero | tr '\\0' x)
      head -c 100000 /dev/urandom >/dev/ttyS0
      while :; do yes "$line" 2>/dev/null | head -c 10000000 >/dev/ttyS0; done`
    await expect(machine.run(['sh', '-c', flood])).rejects.toMatchObject({
      code: 'GUEST_FLOOD',
      message: expect.stringMatching(/more than 64 MiB[\s\S]*The end of its console/),
    })
    await expect.poll(async () => (await machine.qmp.execute('query-status')).status).toBe('paused')
  })
})
