import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { expect, test } from '../src/testing/vitest.ts'
import { quotedDigest, readPcrs } from '../src/tpm/index.ts'

const MIB = 1024 * 1024
const CARD = '52:54:00:b0:07:99'

let directory: string
let contentPath: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-hardware-'))
  contentPath = join(directory, 'content.raw')
  await writeFile(contentPath, Buffer.alloc(MIB, 'content '))
})

afterAll(() => rm(directory, { recursive: true, force: true }))

describe('a machine', () => {
  test('has the disks and network cards that it was given, also as a fork', async ({ boot }) => {
    const disks = [
      { name: 'data', sizeMiB: 64 },
      { name: 'seed', contentPath, sizeMiB: 2 },
    ]
    await using machine = await boot('minimal', { disks, furtherMacAddresses: [CARD] })
    const sizes = 'for name in data seed; do blockdev --getsize64 /dev/disk/by-id/virtio-$name; done'
    expect(await machine.run(['sh', '-c', sizes])).toPrint(`${64 * MIB}\n${2 * MIB}`)
    expect(await machine.run(['sh', '-c', 'cat /sys/class/net/*/address'])).toPrint(new RegExp(`^${CARD}$`, 'm'))
    const first = ['dd', 'if=/dev/disk/by-id/virtio-seed', 'bs=7', 'count=1', 'status=none']
    expect(await machine.run(first)).toPrint('content')

    const write = 'printf changed | dd of=/dev/disk/by-id/virtio-seed conv=notrunc,fsync status=none'
    await machine.run(['sh', '-c', write])
    await machine.run(['sh', '-c', write.replace('seed', 'data')])
    await using stopped = await machine.cutPower()
    for (const { name } of disks) {
      expect((await (await stopped.disk(name)).read(0, 7)).toString()).toBe('changed')
    }
    await expect(stopped.disk('nosuch')).rejects.toThrow('There is no disk "nosuch"; there are: data, seed')
    expect((await readFile(contentPath)).toString('utf8', 0, 7)).toBe('content')

    await using again = await stopped.restart()
    await again.booted()
    expect(await again.run(first)).toPrint('changed')
  })

  test('has a TPM that signs what its PCRs are, in an image without any tools for it', async ({ boot }) => {
    await using machine = await boot('minimal')
    const values = await machine.tpm.readPcrs()
    expect(await machine.tpm.use((send) => readPcrs(send, 'sha256', [...values.keys()]))).toEqual(values)
    const pcrs = [4, 7, 11]
    const nonce = Buffer.from('not used before')
    const quote = await machine.tpm.quote({ pcrs, nonce })
    expect(quote.pcrDigest).toEqual(quotedDigest(pcrs.map((pcr) => values.get(pcr) ?? '')))
    await machine.run(['/usr/lib/systemd/systemd-pcrextend', '--pcr=11', 'more'])
    const later = await machine.tpm.quote({ pcrs, nonce })
    expect(later.pcrDigest).not.toEqual(quote.pcrDigest)
    expect(later.publicKey).toEqual(quote.publicKey)
    await expect(machine.tpm.quote({ bank: 'sha1' })).rejects.toMatchObject({ code: 'GUEST_COMMAND_FAILED' })
  })

  test('is refused with what it cannot have', async ({ boot }) => {
    const refused = (disks: { name: string; sizeMiB?: number; contentPath?: string }[]) =>
      expect(boot('minimal', { disks })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await refused([{ name: 'a,b', sizeMiB: 1 }])
    await refused([{ name: 'data' }])
    await refused([{ name: 'data', contentPath: join(directory, 'nosuch') }])
    await refused([{ name: 'data', contentPath, sizeMiB: 0.5 }])
    await refused([
      { name: 'data', sizeMiB: 1 },
      { name: 'data', sizeMiB: 2 },
    ])
    const twice = boot('minimal', { furtherMacAddresses: ['52:54:00:B0:07:01'] })
    await expect(twice).rejects.toThrow('Expected different addresses of network cards')
  })
})
