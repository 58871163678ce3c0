import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunningMachine } from '../../src/machine/index.ts'

const END = '|!=EOF'

/**
 * The peer of the guest channel: a shell on a virtconsole, as NixOS' test driver has it. A command is a line of shell, and
 * what it prints ends with a mark and its exit status.
 */
export class VirtconsoleShell implements AsyncDisposable {
  readonly #socket: Socket
  readonly #directory: string

  private constructor(socket: Socket, directory: string) {
    this.#socket = socket
    this.#directory = directory
  }

  static async open(running: RunningMachine): Promise<VirtconsoleShell> {
    const directory = await mkdtemp(join(tmpdir(), 'bw-console-'))
    const path = join(directory, 'socket')
    const server = createServer().listen(path)
    await once(server, 'listening')
    const connected = once(server, 'connection') as Promise<[Socket]>
    const addr = { type: 'unix', data: { path } }
    await running.qmp.execute('chardev-add', {
      id: 'peer',
      backend: { type: 'socket', data: { addr, server: false } },
    })
    await running.qmp.execute('device_add', { driver: 'virtconsole', id: 'peer-console', chardev: 'peer' })
    const [socket] = await connected
    server.close()
    const start = 'while [ ! -c /dev/hvc0 ]; do sleep 0.1; done; stty -F /dev/hvc0 raw -echo'
    await running.run(['sh', '-c', start])
    await running.run(['systemd-run', '--unit=peer', 'sh', '-c', 'exec sh </dev/hvc0 >/dev/hvc0 2>&1'])
    return new VirtconsoleShell(socket, directory)
  }

  async run(command: string): Promise<void> {
    let seen = ''
    this.#socket.write(`( ${command} ); echo '${END}' $?\n`)
    while (!seen.includes(`${END} 0`)) seen += String((await once(this.#socket, 'data'))[0])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
