import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { BootwrightError } from '../system/index.ts'

/** Commands that we send, with their arguments and what they return (QEMU QMP reference). */
export interface QmpCommands {
  qmp_capabilities: { arguments: undefined; returns: unknown }
  cont: { arguments: undefined; returns: unknown }
  stop: { arguments: undefined; returns: unknown }
  quit: { arguments: undefined; returns: unknown }
  system_powerdown: { arguments: undefined; returns: unknown }
  system_reset: { arguments: undefined; returns: unknown }
  'query-status': { arguments: undefined; returns: { status: string; running: boolean } }
  'query-blockstats': {
    arguments: undefined
    returns: { device: string; stats: { rd_operations: number; wr_operations: number } }[]
  }
  'query-version': { arguments: undefined; returns: { qemu: { major: number; minor: number; micro: number } } }
  'migrate-set-capabilities': {
    arguments: { capabilities: readonly { capability: string; state: boolean }[] }
    returns: unknown
  }
  migrate: { arguments: { uri: string }; returns: unknown }
  'migrate-incoming': { arguments: { uri: string }; returns: unknown }
  'query-migrate': { arguments: undefined; returns: { status?: string; 'error-desc'?: string } }
  'human-monitor-command': { arguments: { 'command-line': string }; returns: string }
  set_link: { arguments: { name: string; up: boolean }; returns: unknown }
  'object-add': { arguments: Readonly<Record<string, unknown>> & { 'qom-type': string; id: string }; returns: unknown }
  'object-del': { arguments: { id: string }; returns: unknown }
  'chardev-add': { arguments: { id: string; backend: Readonly<Record<string, unknown>> }; returns: unknown }
  device_add: { arguments: Readonly<Record<string, unknown>> & { driver: string; id: string }; returns: unknown }
  'chardev-remove': { arguments: { id: string }; returns: unknown }
  'blockdev-add': { arguments: Readonly<Record<string, unknown>> & { 'node-name': string }; returns: unknown }
  'blockdev-del': { arguments: { 'node-name': string }; returns: unknown }
  'qom-set': { arguments: { path: string; property: string; value: unknown }; returns: unknown }
  'send-key': {
    arguments: { keys: readonly { type: 'qcode'; data: string }[]; 'hold-time'?: number }
    returns: unknown
  }
  /** Physical memory into a file. */
  pmemsave: { arguments: { val: number; size: number; filename: string }; returns: unknown }
  screendump: { arguments: { filename: string; format: 'png' }; returns: unknown }
}

export type QmpEvent =
  | { readonly event: 'SHUTDOWN'; readonly data: { readonly guest: boolean; readonly reason: string } }
  | { readonly event: 'RESET'; readonly data: { readonly guest: boolean; readonly reason: string } }
  | { readonly event: 'GUEST_PANICKED'; readonly data: { readonly action: string } }
  | { readonly event: 'VSERPORT_CHANGE'; readonly data: { readonly id: string; readonly open: boolean } }
  | { readonly event: 'MIGRATION'; readonly data: { readonly status: string } }
  | { readonly event: 'BLOCK_IO_ERROR'; readonly data: { readonly device: string; readonly operation: string } }
  | { readonly event: string; readonly data?: unknown }

interface Pending {
  readonly command: string
  resolve(value: unknown): void
  reject(error: Error): void
}

/** A client of QEMU's machine protocol over a connected socket. */
export class Qmp {
  readonly #stream: Duplex
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #log: (line: string) => void
  readonly #greeted = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  #nextId = 1
  #closed = false

  private constructor(stream: Duplex, log: (line: string) => void) {
    this.#stream = stream
    this.#log = log
    // It closes after it, and that ends what waits.
    stream.on('error', () => undefined)
    stream.once('close', () => this.#close())
    stream.once('end', () => this.#close())
    const lines = createInterface({ input: stream })
    lines.on('error', () => undefined)
    lines.on('line', (line) => this.#receive(line))
    if (stream.destroyed || stream.readableEnded) this.#close()
  }

  /** Reads the greeting and leaves capabilities negotiation. Rejects when the other end closes first. */
  static async connect(stream: Duplex, log: (line: string) => void = () => undefined): Promise<Qmp> {
    const qmp = new Qmp(stream, log)
    await qmp.#greeted.promise
    await qmp.execute('qmp_capabilities')
    return qmp
  }

  execute<C extends keyof QmpCommands>(
    command: C,
    ...[args]: QmpCommands[C]['arguments'] extends undefined ? [] : [QmpCommands[C]['arguments']]
  ): Promise<QmpCommands[C]['returns']> {
    if (this.#closed) return Promise.reject(this.#goneError(command))
    const id = this.#nextId++
    const line = JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { command, resolve: resolve as (value: unknown) => void, reject })
      this.#log(`> ${line}`)
      this.#stream.write(`${line}\n`)
    })
  }

  /** Calls back for each event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Resolves when QEMU has closed the connection; never rejects. */
  get closed(): Promise<void> {
    return this.#ended.promise
  }

  #receive(line: string): void {
    this.#log(`< ${line}`)
    let message: {
      QMP?: unknown
      id?: number
      return?: unknown
      error?: { class: string; desc: string }
      event?: string
      data?: unknown
    }
    try {
      message = JSON.parse(line) ?? {}
    } catch {
      return
    }
    if (message.QMP !== undefined) this.#greeted.resolve()
    if (message.event !== undefined) {
      for (const listener of this.#listeners) listener({ event: message.event, data: message.data } as QmpEvent)
      return
    }
    const pending = message.id === undefined ? undefined : this.#pending.get(message.id)
    if (pending === undefined || message.id === undefined) return
    this.#pending.delete(message.id)
    if (message.error === undefined) pending.resolve(message.return)
    else {
      pending.reject(
        new BootwrightError('TOOL_FAILED', `QEMU refused "${pending.command}": ${message.error.desc}`, {
          detail: { class: message.error.class },
        }),
      )
    }
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ended.resolve()
    this.#greeted.promise.catch(() => undefined)
    this.#greeted.reject(this.#goneError('the greeting'))
    for (const pending of this.#pending.values()) pending.reject(this.#goneError(pending.command))
    this.#pending.clear()
  }

  #goneError(command: string): BootwrightError {
    return new BootwrightError('HELPER_EXITED', `QEMU ended before it answered "${command}"`, {
      hint: "Its own words are in qemu.log of the machine's state directory.",
    })
  }
}
