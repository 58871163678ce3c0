import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { editGpt, parseGpt } from '../../formats/index.ts'
import { type FileServer, parseServeFault, serveDirectory } from '../../release/index.ts'
import { run, tryLock } from '../../system/index.ts'
import { readyToolchain } from '../../toolchain/index.ts'
import type { PartitionTarget } from '../destination.ts'
import { gptImage } from './gpt-image.test-support.ts'
import { acquirePartition, freePartition, installPartition, RunLock } from './index.ts'

const MIB = 1024 * 1024
const USR = '8484680c-9521-48c6-9c11-b0720656f69e'
const PARTIAL = 'dc0226f3-2b45-4572-844b-c7575b748b24'
const PENDING = 'ac8558b5-455e-4869-8c5e-d8272455c06a'
const UUID = '11111111-2222-4333-8444-555555555555'
const QUICK = { retries: 0, backOffMs: () => 0 }
const PAYLOAD = Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(MIB / 2)])
const SHA256 = createHash('sha256').update(PAYLOAD).digest('hex')

const toolchain = await readyToolchain().catch(() => undefined)

let directory: string
let disk: string
let server: FileServer
let target: PartitionTarget

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-partition-'))
  await mkdir(join(directory, 'served'))
  await writeFile(join(directory, 'served/os_2.raw'), PAYLOAD)
  disk = join(directory, 'disk')
  await writeFile(
    disk,
    gptImage(USR, [
      ['os_1', 4],
      ['_empty', 4],
      ['_empty', 8],
      ['_empty', 3],
    ]),
  )
  server = await serveDirectory(join(directory, 'served'))
  target = { disk, types: { own: USR, partial: PARTIAL, pending: PENDING }, label: 'os_2' }
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

const payload = (more: object = {}) => ({
  url: `${server.url}/os_2.raw`,
  sha256: SHA256,
  size: PAYLOAD.byteLength,
  ...more,
})
const table = async () => parseGpt(await readFile(disk)).partitions
const labels = async () => (await table()).map(({ name }) => name)
const FREE = ['os_1', '_empty', '_empty', '_empty']

/** What a run leaves that was ended at this point. */
async function leave(number: number, change: Parameters<typeof editGpt>[2]): Promise<void> {
  const bytes = await readFile(disk)
  for (const { offset, bytes: piece } of editGpt(bytes, number, change)) bytes.set(piece, offset)
  await writeFile(disk, bytes)
}

describe('acquirePartition() and installPartition()', () => {
  it('fill the smallest slot that is large enough, unseen until the end', async () => {
    const before = await readFile(disk)
    const full = { ...target, uuid: UUID, flags: 0n, readOnly: true, growFileSystem: true, noAuto: false }
    expect(await acquirePartition(full, payload(), QUICK)).toBe(4)
    const attributes = (1n << 60n) | (1n << 59n)
    expect((await table())[3]).toMatchObject({ typeGuid: PENDING, name: 'os_2', partitionGuid: UUID, attributes })
    expect(await installPartition(full)).toBe(4)
    expect(await installPartition(full)).toBe(4)
    const after = await readFile(disk)
    const gpt = parseGpt(after)
    const [slot, old] = [gpt.partitions[3], parseGpt(before).partitions]
    expect(slot).toMatchObject({ typeGuid: USR, name: 'os_2', partitionGuid: UUID, attributes })
    expect(gpt.partitions.slice(0, 3)).toEqual(old.slice(0, 3))
    expect(gpt.backup.state).toBe('valid')
    const start = slot?.offset ?? 0
    expect(after.subarray(start, start + PAYLOAD.byteLength).equals(PAYLOAD)).toBe(true)
    expect(after.subarray(MIB, start).equals(before.subarray(MIB, start))).toBe(true)
  })

  it('take the largest slot when nobody knows the size', async () => {
    expect(await acquirePartition(target, payload({ size: undefined }), QUICK)).toBe(3)
  })

  it.for<[string, string, object]>([
    ['/os_2.raw truncate 1000000', 'DOWNLOAD_FAILED', {}],
    ['/os_2.raw status 404', 'DOWNLOAD_FAILED', {}],
    ['/os_2.raw corrupt 5', 'UPDATE_UNTRUSTED', {}],
    ['/none endless', 'UPDATE_UNTRUSTED', { size: PAYLOAD.byteLength - 1 }],
    ['/os_2.raw endless', 'NO_SPACE', {}],
  ])('free the slot again when it fails: %s', async ([fault, code, more]) => {
    using rule = server.fail(parseServeFault(fault))
    await expect(acquirePartition(target, payload(more), QUICK)).rejects.toMatchObject({ code })
    expect(await labels()).toEqual(FREE)
    expect((await table()).every(({ typeGuid }) => typeGuid === USR)).toBe(true)
    rule[Symbol.dispose]()
    expect(await acquirePartition(target, payload(), QUICK)).toBe(4)
  })

  it('mark nothing that does not fit', async () => {
    const before = await readFile(disk)
    const large = payload({ size: 9 * MIB })
    await expect(acquirePartition(target, large, QUICK)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringContaining(
        `has ${9 * MIB} bytes, and the largest free partition of ${disk} has ${8 * MIB}`,
      ),
    })
    const long = { ...target, label: 'x'.repeat(37) }
    await expect(acquirePartition(long, payload(), QUICK)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    const foreign = { ...target, types: { ...target.types, own: UUID } }
    await expect(acquirePartition(foreign, payload(), QUICK)).rejects.toThrow('no free partition of type')
    await expect(installPartition(target)).rejects.toThrow('waits to be made valid')
    expect((await readFile(disk)).equals(before)).toBe(true)
    expect(server.requests).toEqual([])
  })

  it('go on after a run that was ended, whatever it left', async () => {
    for (const number of [2, 3, 4]) await leave(number, { typeGuid: PARTIAL, name: 'os_2' })
    expect(await acquirePartition(target, payload(), QUICK)).toBe(4)
    expect(await labels()).toEqual(['os_1', '_empty', '_empty', 'os_2'])
    await installPartition(target)
    expect((await table()).map(({ typeGuid }) => typeGuid)).toEqual([USR, USR, USR, USR])
  })

  it('work from the backup of a damaged table, and make it whole', async () => {
    const bytes = await readFile(disk)
    bytes.fill(0, 512, 1024)
    await writeFile(disk, bytes)
    await acquirePartition(target, payload(), QUICK)
    expect(parseGpt(await readFile(disk))).toMatchObject({ used: 'primary', backup: { state: 'valid' } })
  })

  it('refuse a disk without a table, and one that is not there', async () => {
    await writeFile(disk, Buffer.alloc(MIB))
    await expect(acquirePartition(target, payload(), QUICK)).rejects.toMatchObject({
      code: 'UPDATE_REFUSED',
      message: expect.stringContaining('has no GUID partition table'),
    })
    const none = { ...target, disk: join(directory, 'none') }
    await expect(installPartition(none)).rejects.toMatchObject({ code: 'UPDATE_REFUSED' })
  })

  it('choose as the original does, when asked: the smallest, and what failed stays', async () => {
    const options = { ...QUICK, keepsPartial: true }
    using rule = server.fail(parseServeFault('/os_2.raw corrupt 5'))
    await expect(acquirePartition(target, payload({ size: undefined }), options)).rejects.toMatchObject({
      code: 'UPDATE_UNTRUSTED',
    })
    expect((await table())[3]).toMatchObject({ typeGuid: PARTIAL, name: 'os_2' })
    rule[Symbol.dispose]()
    await expect(acquirePartition(target, payload({ size: 9 * MIB }), options)).rejects.toThrow(
      'No available partition of a suitable size found.',
    )
  })

  it('free a slot again, whatever state it is in', async () => {
    await acquirePartition(target, payload(), QUICK)
    for (const number of [1, 4, 9]) await freePartition(disk, number, target.types)
    expect(await labels()).toEqual(['_empty', '_empty', '_empty', '_empty'])
    expect((await table()).every(({ typeGuid }) => typeGuid === USR)).toBe(true)
  })

  it('know the size of a local file that is not compressed', async () => {
    const path = join(directory, 'served/os_2.raw')
    expect(await acquirePartition(target, { path }, QUICK)).toBe(4)
  })

  it('leave the disk to the run that has it, and say who that is; but wait for who only looks at it', async () => {
    using lock = new RunLock()
    using other = new RunLock()
    lock.holdDisk(disk)
    lock.holdDisk(disk)
    expect(() => other.holdDisk(disk)).toThrow(`is being updated by process ${process.pid} (`)
    const looking = openSync(disk, 'r')
    expect(tryLock(looking)).toBe(true)
    const acquired = acquirePartition(target, payload(), QUICK)
    await sleep(100)
    expect(await labels()).toEqual(FREE)
    closeSync(looking)
    expect(await acquired).toBe(4)
  })

  it.skipIf(toolchain === undefined)('leave the table that the original leaves (needs the tools tree)', async () => {
    if (toolchain === undefined) return
    const definitions = join(directory, 'definitions')
    const theirs = join(directory, 'theirs')
    await mkdir(definitions)
    await copyFile(disk, theirs)
    // The original does not know the size, and takes the smallest slot then.
    await writeFile(
      join(definitions, '10-usr.transfer'),
      `[Source]\nType=regular-file\nPath=${directory}/served\nMatchPattern=os_@v.raw\n` +
        `[Target]\nType=partition\nPath=${theirs}\nMatchPattern=os_@v\nMatchPartitionType=${USR}\n` +
        `PartitionUUID=${UUID}\nPartitionFlags=0x1000000000000000\n`,
    )
    const updater = (...args: string[]) =>
      run(toolchain.command(['/usr/lib/systemd/systemd-sysupdate', `--definitions=${definitions}`, ...args]))
    await updater('update')
    const own = { ...target, uuid: UUID, flags: 1n << 60n }
    await acquirePartition(own, { ...payload(), url: `file://${directory}/served/os_2.raw` }, QUICK)
    await copyFile(disk, `${disk}.pending`)
    await installPartition(own)
    const [mine, other] = await Promise.all([readFile(disk), readFile(theirs)])
    expect(mine.equals(other)).toBe(true)
    // What we have left half-way is what it would have left.
    await copyFile(`${disk}.pending`, theirs)
    expect(JSON.parse((await updater('--offline', '--json=short', 'list')).stdout)).toMatchObject({
      'current+pending': '2',
    })
    await updater('--offline', 'update')
    expect((await readFile(theirs)).equals(mine)).toBe(true)
  })
})
