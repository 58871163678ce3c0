import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { predictUki } from './prediction.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-predict-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

describe('predictUki()', () => {
  it('says that the image has no UKI', async () => {
    await expect(predictUki(join(directory, 'none.efi'), ['sha256'])).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: expect.stringContaining('none.efi'),
    })
  })

  it.for(['', 'MZ', 'no PE file at all'])('rejects a UKI that is %j', async (bytes) => {
    const path = join(directory, 'uki.efi')
    await writeFile(path, bytes)
    await expect(predictUki(path, ['sha256'])).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
  })
})

describe.skipIf(toolchain === undefined)('predictUki() beside systemd-measure (needs ./bootwright setup)', () => {
  /** A UKI of systemd's stub and these parts, and the values that systemd-measure computes for its last phase. */
  async function uki(commandLine: string): Promise<{ path: string; measured: Map<string, string> }> {
    const [linux, initrd, path] = ['linux', 'initrd', 'uki.efi'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    await writeFile(linux, 'HALLO\n')
    await writeFile(initrd, 'foobar\n')
    // biome-ignore format: an option and its value on one line
    const { stdout } = await run(toolchain.command([
      'ukify', 'build', '--measure',
      '--pcr-banks', 'sha256,sha384',
      '--linux', linux,
      '--initrd', initrd,
      '--cmdline', commandLine,
      '--os-release', 'ID=test',
      '--uname', '1.2.3',
      '--efi-arch', 'x64',
      '--stub', join(toolchain.root, 'usr/lib/systemd/boot/efi/linuxx64.efi.stub'),
      '--output', path,
    ]))
    // One value a bank and phase, in the order of the phases; the last one is "ready".
    const measured = new Map(
      [...stdout.matchAll(/^11:(\w+)=([0-9a-f]+)$/gm)].map(([, bank = '', value = '']) => [bank, value]),
    )
    return { path, measured }
  }

  it('computes what systemd-measure computes, bank for bank', async () => {
    const { path, measured } = await uki('quiet')
    const { pcr11, sections } = await predictUki(path, ['sha256', 'sha384'])
    expect(measured.size).toBe(2)
    expect(new Map(pcr11)).toEqual(measured)
    expect(sections.slice(0, 4)).toEqual(['.linux 6 bytes', '.osrel 7 bytes', '.cmdline 5 bytes', '.initrd 7 bytes'])
    expect(new Map((await predictUki((await uki('debug')).path, ['sha256', 'sha384'])).pcr11)).not.toEqual(measured)
  })

  it('predicts nothing for no banks', async () => {
    expect((await predictUki((await uki('quiet')).path, [])).pcr11.size).toBe(0)
  })
})
