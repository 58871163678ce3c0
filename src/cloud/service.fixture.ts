/** What tests of the service share: one on loopback, and two clients of it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { type AwsInstance, awsInstance } from './aws/instance.ts'
import { aws } from './aws.ts'
import type { FaultRule } from './faults.ts'
import { LiveInstance, type Overrides } from './instance.ts'
import { type MetadataService, type ServiceOptions, serveMetadata } from './service.ts'

export const loopback = { host: '127.0.0.1', port: 0 }
/** What the service under test takes for the time. */
export const NOW = Date.UTC(2026, 4, 5, 6, 7, 8)
export const HOSTNAME = '/latest/meta-data/hostname'
/** Tokens are optional, so that most tests need none. */
export const v1 = { ...awsInstance().metadataOptions, httpTokens: 'optional' } as const

export interface Started extends AsyncDisposable {
  readonly service: MetadataService
  readonly live: LiveInstance<AwsInstance>
  readonly port: number
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Sends bytes as they are and gives back everything until the connection ends; it does not end its own side. */
  raw(text: string): Promise<string>
}

export async function start(options: ServiceOptions = {}, overrides: Overrides<AwsInstance> = {}): Promise<Started> {
  const live = new LiveInstance(awsInstance({ metadataOptions: v1, ...overrides }))
  const service = await serveMetadata(aws, live, [loopback], { clock: () => NOW, ...options })
  const port = service.addresses[0]?.port ?? 0
  return {
    service,
    live,
    port,
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    raw: async (text) => {
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
      socket.write(text)
      const received = await buffer(socket)
      socket.destroy()
      return received.toString('latin1')
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  }
}

export function withFault(rule: FaultRule, options: ServiceOptions = {}): Promise<Started> {
  return start({ ...options, faults: [rule] })
}

/** Whether somebody listens there. */
export async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
