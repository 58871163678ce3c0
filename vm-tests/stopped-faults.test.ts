import { describe } from 'vitest'
import { recordedFaults } from '../src/machine/index.ts'
import { expect, test } from '../src/testing/vitest.ts'

const isAll = process.env.BOOTWRIGHT_TEST_ALL === '1'
const YEAR_S = 365 * 86_400

describe('a machine that is off', () => {
  test('starts with what was broken meanwhile', async ({ boot }) => {
    await using machine = await boot('minimal')
    const recording = await machine.faults.recordWrites()
    await machine.run(['sh', '-c', 'for i in 1 2 3; do echo $i >/var/tmp/f$i; sync /var/tmp/f$i; done'])
    await recording.end()
    await using stopped = await machine.cutPower()
    await expect(stopped.faults.disk({ kind: 'read-error', sectors: [] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await stopped.faults.clock(10 * YEAR_S)
    const disk = await stopped.faults.disk({ kind: 'read-error', sectors: [800] })
    const tpm = await stopped.faults.removeTpm()
    {
      await using called = await stopped.faults.linkDown()
      await called.end()
    }
    await using again = await stopped.restart()
    await again.booted()
    const read = async (block: number) =>
      (
        await again.runUnchecked([
          'dd',
          'if=/dev/vda',
          'of=/dev/null',
          'bs=4096',
          'count=1',
          'iflag=direct',
          `skip=${block}`,
        ])
      ).exitCode
    expect([await read(100), await read(101)]).toEqual([1, 0])
    await disk.end()
    expect(await read(100)).toBe(0)
    expect((await again.runUnchecked(['test', '-e', '/sys/class/tpm/tpm0'])).exitCode).toBe(1)
    const year = new Date(Date.now() + 10 * YEAR_S * 1_000).getUTCFullYear()
    expect(await again.run(['date', '--utc', '+%Y'])).toPrint(String(year))
    await tpm.end()
    await using off = await again.cutPower()
    expect((await recordedFaults(off)).map(({ what }) => what)).toEqual([
      'writes recorded',
      'TPM removed',
      'clock offset',
      'disk fault',
      'disk fault over',
      'TPM put in',
    ])

    // As many points as flushes, and each copy has what was flushed by then; the machine itself is as it was.
    const seen: number[] = []
    const points = await off.faults.eachPowerCut(recording, async (cut) => {
      seen.push(cut.at)
      expect((await cut.machine.disk()).partitions.length).toBeGreaterThanOrEqual(2)
    })
    expect(points).toBeGreaterThanOrEqual(3)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(seen).toHaveLength(points)
  })

  test.runIf(isAll)('boots from every disk that a power cut could have left', async ({ boot }) => {
    await using machine = await boot('minimal')
    const recording = await machine.faults.recordWrites()
    await machine.run(['sh', '-c', 'for i in 1 2; do echo $i >/var/tmp/f$i; sync /var/tmp/f$i; done'])
    await recording.end()
    await using stopped = await machine.cutPower()
    const found: string[] = []
    const isFirstOrLast = (index: number, count: number) => index === 0 || index === count - 1
    await stopped.faults.eachPowerCut(
      recording,
      async (cut) => {
        await using again = await cut.machine.restart()
        await again.booted()
        found.push((await again.run(['sh', '-c', 'cat /var/tmp/f* 2>/dev/null; true'])).stdout)
      },
      { choose: isFirstOrLast },
    )
    expect(found[1]).toBe('1\n2\n')
    expect(found[0]).not.toBe(found[1])
  })
})

describe('the metadata service', () => {
  test('fails in each way that it is told, and works again', async ({ boot }) => {
    await using machine = await boot('cloud', { cloud: 'aws' })
    await expect(machine).toReachMetadata()
    const { cloud } = machine
    if (cloud === undefined) throw new Error('there is no cloud')
    const token = `exec 3<>/dev/tcp/169.254.169.254/80
      printf 'PUT /latest/api/token HTTP/1.1\\r\\nHost: x\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n' >&3
      IFS= read -t 2 -r line <&3; printf '%s' "\${line%$'\\r'}"`
    const answer = async () => (await machine.run(['bash', '-c', `( ${token} ) 2>/dev/null; true`])).stdout
    expect(await answer()).toBe('HTTP/1.1 200 OK')
    for (const [fault, expected] of [
      [{ kind: 'status', status: 429 }, /^HTTP\/1.1 429 /],
      [{ kind: 'status', status: 500 }, /^HTTP\/1.1 500 /],
      [{ kind: 'moved', location: 'http://192.0.2.1/' }, /^HTTP\/1.1 308 /],
      ['silence', /^$/],
      ['reset', /^$/],
      ['garbage', /^(?!HTTP)./s],
    ] as const) {
      await using _fault = await cloud.fail(fault)
      expect(await answer()).toMatch(expected)
    }
    {
      await using _elsewhere = await cloud.fail('silence', { path: '/latest/meta-data/**' })
      expect(await answer()).toBe('HTTP/1.1 200 OK')
    }
    await expect(cloud.fail({ kind: 'status', status: 99 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await answer()).toBe('HTTP/1.1 200 OK')
    const records = await machine.faults.records()
    expect(records.slice(0, 2)).toMatchObject([
      { what: 'metadata fault', detail: { path: '**', fault: { kind: 'status', status: 429 } } },
      { what: 'metadata fault over', detail: { kind: 'status' } },
    ])
    expect(records).toHaveLength(14)
  })
})
