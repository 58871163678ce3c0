import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Toolchain } from '../../toolchain/index.ts'
import { Qmp } from '../qmp.ts'

/** A QEMU without a guest: its block and network layers are real, and no processor runs. */
export class BareQemu implements AsyncDisposable {
  readonly qmp: Qmp
  readonly #child: ChildProcess
  #printed = ''

  private constructor(child: ChildProcess, qmp: Qmp) {
    this.#child = child
    this.qmp = qmp
    child.stdout?.on('data', (bytes: Buffer) => {
      this.#printed += bytes.toString()
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#printed += bytes.toString()
    })
  }

  static async start(toolchain: Toolchain, args: readonly string[]): Promise<BareQemu> {
    // biome-ignore format: an option and its value on one line
    const [file = '', ...rest] = toolchain.command([
      'qemu-system-x86_64', '-nodefaults', '-no-user-config',
      '-display', 'none',
      '-m', '16',
      '-chardev', 'socket,id=qmp,fd=3',
      '-mon', 'chardev=qmp,mode=control',
      ...args,
    ]).argv
    const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
    return new BareQemu(child, await Qmp.connect(child.stdio[3] as Duplex))
  }

  /** A request as from the device of the disk, with qemu-io's words: `ok`, or why not. */
  async io(command: string): Promise<string> {
    this.#printed = ''
    const line = `qemu-io -d /machine/peripheral/disk-device/virtio-backend "${command}"`
    await this.qmp.execute('human-monitor-command', { 'command-line': line })
    // What it prints comes another way than the answer.
    while (!command.startsWith('flush') && this.#printed === '') await once(this.#child.stdout ?? this.#child, 'data')
    return /failed: (.*)/.exec(this.#printed)?.[1] ?? 'ok'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It may have quit on its own: its event does not come twice.
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
