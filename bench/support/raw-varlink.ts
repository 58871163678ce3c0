import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client of which a thousand can be had at once: bytes that are ready, and NULs that are counted. */
export class RawVarlink {
  readonly socket: Socket
  #last = ''
  #arrived: PromiseWithResolvers<void> | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#last += chunk.toString('latin1')
      if (this.#last.endsWith('\0')) this.#arrived?.resolve()
    })
    socket.on('error', (error) => this.#arrived?.reject(error))
    socket.on('close', () => this.#arrived?.reject(new Error('The service has ended the connection')))
  }

  static async connect(path: string): Promise<RawVarlink> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new RawVarlink(socket)
  }

  /** Sends a call; resolves with its reply. */
  async call(bytes: Uint8Array): Promise<string> {
    this.#last = ''
    this.#arrived = Promise.withResolvers<void>()
    this.socket.write(bytes)
    await this.#arrived.promise
    return this.#last
  }

  close(): void {
    this.socket.removeAllListeners('close')
    this.socket.destroy()
  }
}
