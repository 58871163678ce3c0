import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Namespace, run } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { hostAddress, PrivateNetwork } from './network.ts'

const toolchain = await readyToolchain().catch(() => undefined)
const canOpen = await Namespace.open().then(
  async (namespace) => {
    await namespace[Symbol.asyncDispose]()
    return true
  },
  () => false,
)
const METADATA = ['169.254.169.254', 'fd00:ec2::254']

/** Asks the network's DNS server from inside. */
const ASK = `
const { Resolver } = require('node:dns/promises')
const [server, name, type] = process.argv.slice(1)
const resolver = new Resolver({ timeout: 5000, tries: 2 })
resolver.setServers([server])
resolver.resolve(name, type).then(
  (found) => console.log(JSON.stringify(found)),
  (error) => console.log(error.code))`

describe.skipIf(toolchain === undefined || !canOpen)('PrivateNetwork (needs namespaces and ./bootwright setup)', () => {
  let directory: string
  let network: PrivateNetwork

  function inside(...argv: string[]) {
    return network.namespace.run({ argv })
  }

  async function resolve(name: string, type = 'A', server = '10.77.0.1'): Promise<string> {
    return (await inside(process.execPath, '--eval', ASK, server, name, type)).stdout.trim()
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-network-'))
    network = await PrivateNetwork.open(toolchain as Toolchain, {
      directory,
      addresses: METADATA,
      names: { 'metadata.example': METADATA },
      hosts: [{ macAddress: '52:54:00:b0:07:01', ipv4: hostAddress(0), name: 'guest' }],
    })
  })

  afterAll(async () => {
    await network[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })

  it('gets to know machines while it runs, by name', async () => {
    expect(await resolve('late')).toBe('ENOTFOUND')
    await network.addHost({ macAddress: '52:54:00:b0:07:02', ipv4: hostAddress(1), name: 'late' })
    for (let attempt = 0; attempt < 50 && (await resolve('late')) === 'ENOTFOUND'; attempt++) await sleep(100)
    expect(await resolve('late')).toBe(`["${hostAddress(1)}"]`)
    expect(await resolve('guest')).toBe(`["${hostAddress(0)}"]`)
  })

  it('answers DNS as soon as it is open: the names it was given, in both families', async () => {
    expect(await resolve('metadata.example')).toBe('["169.254.169.254"]')
    expect(await resolve('metadata.example', 'AAAA')).toBe('["fd00:ec2::254"]')
    expect(await resolve('metadata.example', 'A', 'fd77:b007::1')).toBe('["169.254.169.254"]')
  })

  it('says of every other name that it does not exist, and asks nobody', async () => {
    expect(await resolve('debian.org')).toBe('ENOTFOUND')
    expect(await resolve('example', 'AAAA')).toBe('ENOTFOUND')
    expect(await readFile(join(directory, 'dnsmasq.log'), 'utf8')).not.toContain('forwarded')
  })

  it('has link-local addresses on the link, besides those that are its own', async () => {
    const route = async (address: string) => (await inside('ip', '-oneline', 'route', 'get', address)).stdout
    expect(await route('169.254.7.7')).toMatch(/^169\.254\.7\.7 dev bw0 /)
    expect(await route('169.254.169.254')).toMatch(/^local 169\.254\.169\.254 dev lo /)
  })

  it('listens for DHCP, of both families', async () => {
    const ports = (text: string) => [...text.matchAll(/^ *\d+: \w+:(\w{4}) /gm)].map(([, port]) => port)
    expect(ports((await inside('cat', '/proc/net/udp')).stdout)).toContain('0043')
    expect(ports((await inside('cat', '/proc/net/udp6')).stdout)).toContain('0223')
  })

  it('has the metadata addresses inside, and only there', async () => {
    const addresses = (await inside('ip', '-brief', 'address', 'show', 'dev', 'bw0')).stdout
    for (const address of METADATA) expect(addresses).toContain(address)
    const host = Object.values(networkInterfaces()).flatMap((cards) => cards?.map(({ address }) => address) ?? [])
    for (const address of [...METADATA, '10.77.0.1']) expect(host).not.toContain(address)
    const { stdout: links } = await run({ argv: ['cat', '/proc/net/dev'] })
    expect(links).not.toContain('bw0:')
  })

  it('has no way out: no default route', async () => {
    expect((await inside('ip', 'route', 'show', 'default')).stdout).toBe('')
    expect((await inside('ip', '-6', 'route', 'show', 'default')).stdout).toBe('')
    expect((await inside('ip', 'route', 'get', '192.0.2.1')).exitCode).not.toBe(0)
  })

  it('serves a metadata address from this process', async () => {
    const server = await network.listen('169.254.169.254', 80)
    server.on('connection', (socket) => socket.end('metadata'))
    const { stdout } = await inside('bash', '-c', 'cat </dev/tcp/169.254.169.254/80')
    server.close()
    expect(stdout).toBe('metadata')
  })

  it('has the tools for all that runs in it, and mounts them once', async () => {
    const { namespace } = network
    const place = async () => (await namespace.run(namespace.tool(['readlink', '/proc/self/ns/mnt']))).stdout
    expect(await place()).toBe(await place())
    const { stdout } = await namespace.run(namespace.tool(['sh', '-c', 'command -v swtpm; echo "$PATH"']))
    expect(stdout).toMatch(/^\/usr\/\S*swtpm\n\/usr\/sbin:\/usr\/bin\n$/)
  })

  it('says that the host has no tun device, and what to do', async () => {
    const blind: Toolchain = {
      ...(toolchain as Toolchain),
      command: (argv, options) => {
        const hide = 'mount --bind /dev/null /dev/net/tun && exec "$@"'
        return (toolchain as Toolchain).command(['sh', '-c', hide, 'sh', ...argv], options)
      },
    }
    await using other = await PrivateNetwork.open(blind, { directory, addresses: [], names: {}, hosts: [] })
    await expect(other.addTap()).rejects.toMatchObject({
      code: 'HOST_UNSUITABLE',
      hint: expect.stringContaining('/dev/net/tun'),
    })
  })

  it('rejects with the words of dnsmasq when that cannot start, and leaves nothing', async () => {
    const opening = PrivateNetwork.open(toolchain as Toolchain, {
      directory: join(directory, 'none'),
      addresses: [],
      names: { 'metadata.example': ['no-address'] },
      hosts: [],
    })
    await expect(opening).rejects.toMatchObject({
      code: 'HELPER_EXITED',
      message: expect.stringMatching(/dnsmasq did not start: .*bad/),
    })
  })

  it('rejects an address that is none', async () => {
    const options = { directory, addresses: ['not-an-address'], names: {}, hosts: [] }
    await expect(PrivateNetwork.open(toolchain as Toolchain, options)).rejects.toMatchObject({
      code: 'HOST_UNSUITABLE',
      message: expect.stringContaining('not-an-address'),
    })
  })
})

describe('hostAddress()', () => {
  it('stays clear of the pool', () => {
    expect([hostAddress(0), hostAddress(1)]).toEqual(['10.77.0.10', '10.77.0.11'])
  })
})
