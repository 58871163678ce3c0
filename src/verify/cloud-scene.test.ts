import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudNamed } from '../cloud/index.ts'
import { Namespace } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { openCloudScene, verifiedInstance } from './cloud-scene.ts'

const MAC = '52:54:00:b0:07:01'
const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const canOpen = await Namespace.open().then(
  async (namespace) => {
    await namespace[Symbol.asyncDispose]()
    return true
  },
  () => false,
)

describe('verifiedInstance()', () => {
  it('asks for a credential that is another one each time', () => {
    const [first, second] = [verifiedInstance(cloudNamed('aws'), MAC), verifiedInstance(cloudNamed('aws'), MAC)]
    const [[name, value] = ['', '']] = Object.entries(first.credentials)
    expect(JSON.parse(Buffer.from(first.instance.userData ?? []).toString())).toEqual({
      'systemd.credentials': [{ name, text: value }],
    })
    expect(first.instance.interfaces[0].mac).toBe(MAC)
    expect(second.credentials).not.toEqual(first.credentials)
  })
})

describe.skipIf(toolchain === undefined || !canOpen)(
  'openCloudScene() (needs namespaces and ./bootwright setup)',
  () => {
    let directory: string

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'bootwright-scene-'))
    })

    afterEach(() => rm(directory, { recursive: true, force: true }))

    it.for(['169.254.169.254', 'fd00:ec2::254'])('answers at %s inside its network', async (address) => {
      await using scene = await openCloudScene({ toolchain, directory, cloud: 'aws', macAddress: MAC })
      const script = `exec 3<>/dev/tcp/${address}/80; printf 'GET /latest/meta-data/ HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3`
      const { stdout } = await scene.network.namespace.run({ argv: ['bash', '-c', script] })
      // IMDSv2: without a token there is no answer.
      expect(stdout).toMatch(/^HTTP\/1\.[01] 401/)
      expect(scene.cloud?.service.transcript.exchanges.length).toBe(1)
    })

    it('has no metadata service in no cloud', async () => {
      await using scene = await openCloudScene({ toolchain, directory, cloud: undefined, macAddress: MAC })
      expect(scene.cloud).toBeUndefined()
      const { stdout } = await scene.network.namespace.run({ argv: ['ip', '-brief', 'address'] })
      expect(stdout).not.toContain('169.254.169.254')
    })

    it('lists the clouds that exist', async () => {
      const opening = openCloudScene({ toolchain, directory, cloud: 'nimbus', macAddress: MAC })
      await expect(opening).rejects.toMatchObject({ code: 'UNKNOWN_NAME', message: expect.stringContaining('aws') })
    })
  },
)
