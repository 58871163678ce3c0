import type { RunningMachine } from '../machine/index.ts'
import type { MachineRecord } from './machine-record.ts'
import { openTerminal, type Terminal } from './terminal.ts'

/** Ctrl-a, then x: as QEMU does it on its own terminal, and `bootwright boot` too. */
const ESCAPE = 0x01
const LEAVE = 'x'.charCodeAt(0)
const CONSOLE = 'c'.charCodeAt(0)
const INTERRUPT = 0x03

/**
 * Stays in a machine: a shell of the guest on the terminal, line by line through the channel, or its serial console. The
 * test goes on to its end when the person leaves.
 */
export async function sit(record: MachineRecord, why: string): Promise<void> {
  using terminal = openTerminal()
  await record.thaw()
  const { running } = record
  terminal.say(`\n${why}\n`)
  if (running === undefined) {
    terminal.say(`Machine "${record.name}" is off. Press Enter to go on.\n`)
    await line(terminal)
    return
  }
  terminal.say(
    record.guest === undefined
      ? `The serial console of machine "${record.name}"; Ctrl-a x leaves.\n`
      : `A shell in machine "${record.name}"; an empty line or "exit" leaves, "console" gives the serial console.\n`,
  )
  if (record.guest === undefined) await attach(running, terminal)
  else await shell(record, running, terminal)
}

/** Waits for a person: the machines are still there. */
export async function pauseBeforeEnd(names: readonly string[]): Promise<void> {
  using terminal = openTerminal()
  terminal.say(`\nThe test is over; ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} still on. Enter ends.\n`)
  await line(terminal)
}

async function shell(record: MachineRecord, running: RunningMachine, terminal: Terminal): Promise<void> {
  let directory = '/'
  for (;;) {
    terminal.say(`${record.name}:${directory}# `)
    const command = await line(terminal)
    if (command === undefined || command.trim() === '' || command.trim() === 'exit') return
    if (command.trim() === 'console') {
      terminal.say('The serial console; Ctrl-a x comes back.\n')
      await attach(running, terminal)
      terminal.say('\n')
      continue
    }
    try {
      // Where the command leaves off, the next one begins.
      const script = `cd "$1" || cd /\neval "$2"\nstatus=$?\npwd >"/run/bootwright-sit"\nexit $status`
      const { exitCode, stdout, stderr } = await running.runUnchecked(['sh', '-c', script, 'sh', directory, command])
      terminal.say(`${stdout}${stderr}`)
      if (exitCode !== 0) terminal.say(`[status ${exitCode}]\n`)
      const { stdout: now } = await running.runUnchecked(['cat', '/run/bootwright-sit'])
      directory = now.toString().trim() || directory
    } catch (error) {
      terminal.say(`${error instanceof Error ? error.message : String(error)}\n`)
      if (record.guest === undefined) return
    }
  }
}

/** One line from the terminal in its usual mode, where the kernel does the editing; undefined at its end. */
function line(terminal: Terminal): Promise<string | undefined> {
  const { input } = terminal
  return new Promise((resolve) => {
    const over = (text: string | undefined) => {
      input.off('data', onData)
      input.off('end', onEnd)
      input.pause()
      resolve(text)
    }
    const onData = (chunk: Buffer) => over(chunk.toString().replace(/\r?\n$/, ''))
    const onEnd = () => over(undefined)
    input.on('data', onData)
    input.on('end', onEnd)
    input.resume()
  })
}

/** Joins the terminal with the serial console until Ctrl-a x, or until the machine is off. */
async function attach(running: RunningMachine, terminal: Terminal): Promise<void> {
  const { input } = terminal
  const left = Promise.withResolvers<void>()
  const stop = running.console.onBytes((bytes) => terminal.say(Buffer.from(bytes).toString()))
  let isEscaped = false
  const onData = (chunk: Buffer) => {
    const passed: number[] = []
    for (const byte of chunk) {
      if (isEscaped && (byte === LEAVE || byte === CONSOLE || byte === INTERRUPT)) return left.resolve()
      const isDoubled = isEscaped && byte === ESCAPE
      isEscaped = byte === ESCAPE && !isEscaped
      if (!isEscaped || isDoubled) passed.push(byte)
    }
    running.console.write(Uint8Array.from(passed))
  }
  for (const shown of await running.console.lastLines(20)) terminal.say(`${shown}\n`)
  input.setRawMode(true)
  input.on('data', onData)
  input.resume()
  try {
    await Promise.race([running.off(), left.promise])
  } finally {
    stop()
    input.off('data', onData)
    input.setRawMode(false)
    input.pause()
  }
}
