/** A server for bench/clouds.ts, in a process of its own: a cloud's by name, or `plain` for one that knows a single answer. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cloudNamed, LiveInstance, serveMetadata } from '../../src/cloud/index.ts'

const [name = ''] = process.argv.slice(2)

if (name === 'plain') {
  const server = createServer((_, response) => response.end('i-0123456789abcdef0'))
  server.listen(0, '127.0.0.1', () => print((server.address() as AddressInfo).port))
} else {
  const provider = cloudNamed(name)
  const [{ name: endpoint }] = provider.endpoints
  const target = { host: '127.0.0.1', port: 0, endpoint }
  const service = await serveMetadata(provider, new LiveInstance(provider.instance()), [target])
  print(service.addresses[0]?.port ?? 0)
}

function print(port: number): void {
  process.stdout.write(`${port}\n`)
}
