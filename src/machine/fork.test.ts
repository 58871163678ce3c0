import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Toolchain } from '../toolchain/index.ts'
import { snapshotIdentity } from './fork.ts'
import { DEFAULT_SPEC, type MachineSpec } from './spec.ts'

let directory: string
let spec: MachineSpec
const toolchain = { identity: 'tools' } as Toolchain

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-fork-'))
  for (const name of ['disk.raw', 'code.fd', 'variables.fd']) await writeFile(join(directory, name), name)
  spec = {
    ...DEFAULT_SPEC,
    image: { name: 'one', version: '1', diskPath: join(directory, 'disk.raw') },
    firmware: {
      name: 'plain',
      codePath: join(directory, 'code.fd'),
      variablesPath: join(directory, 'variables.fd'),
      needsSmm: false,
    },
    accelerator: 'tcg',
    uuid: '11111111-2222-4333-8444-555555555555',
  }
})

afterAll(() => rm(directory, { recursive: true, force: true }))

const identity = (changes: Partial<MachineSpec> = {}, point = 'booted', tools = toolchain, surroundings?: unknown) =>
  snapshotIdentity({ ...spec, ...changes }, { toolchain: tools }, { name: point }, surroundings)

describe('snapshotIdentity()', () => {
  it('is the same for the same, and a name for a directory', async () => {
    expect(await identity()).toBe(await identity())
    expect(await identity()).toMatch(/^one-[0-9a-f]{32}$/)
  })

  it.for<[string, Partial<MachineSpec>]>([
    ['memory', { memoryMiB: 512 }],
    ['cores', { cores: 1 }],
    ['the TPM', { tpm: 'absent' }],
    ['the banks of the TPM', { tpm: { banks: ['sha1', 'sha256'] } }],
    ['a credential', { credentials: { name: 'value' } }],
    ['a credential of bytes', { credentials: { name: new Uint8Array([1]) } }],
    ['the kernel command line', { kernelCommandLineExtra: ['quiet'] }],
    ['the channel', { channel: false }],
    ['the identity of its cloud', { smbios: { system: { manufacturer: 'Somebody' } } as MachineSpec['smbios'] }],
  ])('changes with %s', async ([, changes]) => {
    expect(await identity(changes)).not.toBe(await identity())
  })

  it('changes with the point, the toolchain and the surroundings', async () => {
    const all = [
      await identity(),
      await identity({}, 'elsewhere'),
      await identity({}, 'booted', { identity: 'other tools' } as Toolchain),
      await identity({}, 'booted', toolchain, { userData: 'x' }),
    ]
    expect(new Set(all).size).toBe(all.length)
  })

  it('tells two credentials of bytes apart', async () => {
    const [one, other] = [new Uint8Array([1, 2]), new Uint8Array([1, 3])]
    expect(await identity({ credentials: { name: one } })).not.toBe(await identity({ credentials: { name: other } }))
  })

  it('changes with the content of the disk and of the firmware', async () => {
    const before = await identity()
    await writeFile(join(directory, 'disk.raw'), 'another disk')
    const changed = await identity()
    expect(changed).not.toBe(before)
    await writeFile(join(directory, 'variables.fd'), 'another firmware')
    expect(await identity()).not.toBe(changed)
    const image = { ...spec.image, identity: 'built' }
    expect(await identity({ image })).not.toBe(await identity({ image: { ...image, identity: 'built anew' } }))
  })
})
