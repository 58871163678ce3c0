import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { GuestChannel } from './channel.ts'
import { SERVE } from './channel-script.ts'
import { checkedOutput, type Guest } from './guest.ts'

/** The guest's end of a channel in a shell of this host, with a channel to it. */
export interface ShellGuest extends Disposable {
  readonly channel: GuestChannel
  /** The channel as the verbs of a machine see it. */
  readonly guest: Guest
  readonly directory: string
  readonly channelDirectory: string
  /** The machine is switched off. */
  end(): void
  /** The guest's end is killed, and another one starts on the same port. */
  restart(): void
  /** The guest hangs: it does not get to do anything any more. */
  freeze(): void
}

/** @param env what the guest's programs find in their environment besides ours */
export function shellGuest(env: Readonly<Record<string, string>> = {}, silenceMs?: number): ShellGuest {
  const directory = mkdtempSync(join(tmpdir(), 'bootwright-channel-'))
  const channelDirectory = join(directory, 'run')
  const [ours, port] = duplexPair()
  const channel = new GuestChannel(ours, { silenceMs })
  const start = () => {
    const guest = spawn('/bin/sh', ['-c', SERVE], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...process.env, ...env, BOOTWRIGHT_CHANNEL_DIRECTORY: channelDirectory },
      detached: true,
    })
    const socket = guest.stdio[3] as Socket
    socket.on('error', () => undefined)
    port.pipe(socket)
    socket.pipe(port, { end: false })
    return { guest, socket }
  }
  let running = start()
  const stop = () => {
    port.unpipe(running.socket)
    endAll(running.guest)
  }
  return {
    channel,
    guest: {
      run: async (argv, options) => checkedOutput(argv, await channel.run(argv, options)),
      runUnchecked: (argv, options) => channel.run(argv, options),
      spawn: (argv, options) => channel.spawn(argv, options),
      readFile: (path) => channel.readFile(path),
      writeFile: (path, bytes, mode) => channel.writeFile(path, bytes, mode),
    },
    directory,
    channelDirectory,
    end() {
      stop()
      port.end()
    },
    restart() {
      stop()
      running = start()
    },
    freeze() {
      if (running.guest.pid !== undefined) process.kill(-running.guest.pid, 'SIGSTOP')
    },
    [Symbol.dispose]() {
      stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Ends the guest and all that it has started; it may have gone already. */
function endAll(guest: ChildProcess): void {
  try {
    if (guest.pid !== undefined) process.kill(-guest.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Whether a process runs; one that has ended may still be listed until somebody asks for its status. */
export function isAlive(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
