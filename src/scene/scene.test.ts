import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudNamed, movedTo, overIpv6Only } from '../cloud/index.ts'
import { Namespace } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { instanceIn, macAddressIn } from './instance.ts'
import { openScene } from './scene.ts'

const MAC = '52:54:00:b0:07:01'
const provider = cloudNamed('aws')
const inAws = { provider, instance: instanceIn(provider, MAC) }
const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const canOpen = await Namespace.open().then(
  async (namespace) => {
    await namespace[Symbol.asyncDispose]()
    return true
  },
  () => false,
)

describe('instanceIn()', () => {
  const cardIn = (cloud: string) => instanceIn(cloudNamed(cloud), MAC).interfaces[0]

  it('has a card of the cloud', () => {
    expect(macAddressIn(cloudNamed('akamai'))).toMatch(/^f2:3c:/)
    expect(macAddressIn(cloudNamed('google'))).toMatch(/^42:01:/)
    expect(macAddressIn(undefined)).toBe(MAC)
  })

  it('has the address of DHCP for a public one where the cloud translates none', () => {
    expect(cardIn('hetzner')).toMatchObject({ mac: MAC, ipv4: '10.77.0.10', publicIpv4: '10.77.0.10' })
    expect(cardIn('aws')).toMatchObject({ mac: MAC, ipv4: '10.77.0.10', publicIpv4: '203.0.113.10' })
  })
})

describe.skipIf(toolchain === undefined || !canOpen)('openScene() (needs namespaces and ./bootwright setup)', () => {
  let directory: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-scene-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  it.for(['169.254.169.254', 'fd00:ec2::254'])('answers at %s inside its network', async (address) => {
    await using scene = await openScene({ toolchain, directory, cloud: inAws, macAddress: MAC })
    const script = `exec 3<>/dev/tcp/${address}/80; printf 'GET /latest/meta-data/ HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3`
    const { stdout } = await scene.network.namespace.run({ argv: ['bash', '-c', script] })
    // IMDSv2: without a token there is no answer.
    expect(stdout).toMatch(/^HTTP\/1\.[01] 401/)
    expect(scene.cloud?.service.transcript.exchanges.length).toBe(1)
  })

  /** The status line of an answer to a request from inside. */
  async function asked(cloud: string, address: string, port: number, path: string, header = ''): Promise<string> {
    const provider = cloudNamed(cloud)
    await using scene = await openScene({
      toolchain,
      directory,
      cloud: { provider, instance: instanceIn(provider, MAC) },
      macAddress: MAC,
    })
    const request = `GET ${path} HTTP/1.0\\r\\n${header}\\r\\n`
    const script = `exec 3<>/dev/tcp/${address}/${port}; printf '${request}' >&3; head -n 1 <&3`
    const { stdout, stderr } = await scene.network.namespace.run({ argv: ['bash', '-c', script] })
    return `${stdout}${stderr}`.trim()
  }

  it('has the gateway of a cloud that knows another than the subnet has', async () => {
    const provider = cloudNamed('scaleway')
    const cloud = { provider, instance: instanceIn(provider, MAC) }
    await using scene = await openScene({ toolchain, directory, cloud, macAddress: MAC })
    const argv = ['ip', '-oneline', 'route', 'get', '62.210.0.1']
    expect((await scene.network.namespace.run({ argv })).stdout).toMatch(/^local 62\.210\.0\.1 /)
  })

  it('answers at a link-local address', async () => {
    expect(await asked('hetzner', 'fe80::a9fe:a9fe%bw0', 80, '/hetzner/v1/metadata')).toMatch(/^HTTP\/1\.[01] 200/)
  })

  it('answers over IPv6 alone, and at another address, when that is so', async () => {
    const aws = cloudNamed('aws')
    for (const [provider, address, other] of [
      [overIpv6Only(aws), 'fd00:ec2::254', '169.254.169.254'],
      [movedTo(aws, '169.254.1.1'), '169.254.1.1', '169.254.169.254'],
    ] as const) {
      const cloud = { provider, instance: instanceIn(provider, MAC) }
      await using scene = await openScene({ toolchain, directory, cloud, macAddress: MAC })
      const ask = (to: string) => {
        const script = `exec 3<>/dev/tcp/${to}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3`
        return scene.network.namespace.run({ argv: ['bash', '-c', script] })
      }
      expect((await ask(address)).stdout).toMatch(/^HTTP\/1\.[01] 401/)
      expect((await ask(other)).stdout).toBe('')
    }
  })

  it('tells endpoints apart by address and port', async () => {
    expect(await asked('azure', '168.63.129.16', 80, '/?comp=versions')).toMatch(/ 200/)
    expect(await asked('azure', '168.63.129.16', 32526, '/versions')).toMatch(/ 200/)
    expect(await asked('azure', '169.254.169.254', 80, '/metadata/versions', 'Metadata: true\\r\\n')).toMatch(/ 200/)
    expect(await asked('azure', '169.254.169.254', 80, '/?comp=versions')).toMatch(/ 400/)
  })

  it("knows the cloud's names, and has values where systemd looks for them", async () => {
    const provider = cloudNamed('tencent')
    const cloud = { provider, instance: instanceIn(provider, MAC) }
    await using scene = await openScene({ toolchain, directory, cloud, macAddress: MAC })
    const ask = `
const { Resolver } = require('node:dns/promises')
const resolver = new Resolver()
resolver.setServers(['10.77.0.1'])
resolver.resolve4('metadata.tencentyun.com').then(([address]) =>
  require('node:http').get('http://' + address + '/meta-data/hostname', (answer) => answer.pipe(process.stdout)))`
    const { stdout } = await scene.network.namespace.run({ argv: [process.execPath, '--eval', ask] })
    expect(stdout).toBe(cloud.instance.hostname)
  })

  it('has no metadata service in no cloud', async () => {
    await using scene = await openScene({ toolchain, directory, cloud: undefined, macAddress: MAC })
    expect(scene.cloud).toBeUndefined()
    const { stdout } = await scene.network.namespace.run({ argv: ['ip', '-brief', 'address'] })
    expect(stdout).not.toContain('169.254.169.254')
  })
})
