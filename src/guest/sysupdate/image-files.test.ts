import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseGpt } from '../../formats/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const MAIN = join(import.meta.dirname, '../main.ts')
const [ESP, USR] = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '8484680c-9521-48c6-9c11-b0720656f69e']
const MIB = 1024 * 1024

let directory: string
let image: string

beforeEach(async () => {
  if (toolchain === undefined) return
  directory = mkdtempSync(join(tmpdir(), 'bootwright-image-'))
  image = join(directory, 'disk.img')
  writeFileSync(image, new Uint8Array(24 * MIB))
  const slot = (number: number, mebibytes: number, type: string, label: string): string[] => [
    ...['-n', `${number}:0:+${mebibytes}M`, '-t', `${number}:${type}`, '-c', `${number}:${label}`],
  ]
  await tool('sgdisk', ...slot(1, 16, ESP, 'esp'), ...slot(2, 1, USR, '_empty'), ...slot(3, 1, USR, '_empty'), image)
  await format('mkfs.vfat', '-C')
  define(
    '10-usr',
    'Type=regular-file\nMatchPattern=u_@v.raw',
    'Type=partition\nPath=auto\nMatchPartitionType=usr\nMatchPattern=u_@v',
  )
  define(
    '90-uki',
    'Type=regular-file\nMatchPattern=k_@v.efi',
    'Type=regular-file\nPath=/EFI/Linux\nPathRelativeTo=boot\nMatchPattern=k_@v+@l-@d.efi k_@v.efi\nInstancesMax=2',
  )
  for (const version of ['1', '2', '3']) {
    write(`u_${version}.raw`, `u${version}`)
    write(`k_${version}.efi`, `kernel ${version}`.repeat(20_000))
  }
})
afterEach(() => {
  if (toolchain !== undefined) rmSync(directory, { recursive: true })
})

async function tool(...argv: readonly string[]): Promise<string> {
  return (await run(toolchain.command(argv))).stdout
}

/** Puts a new file system into the first partition. */
async function format(program: string, ...options: readonly string[]): Promise<void> {
  const made = join(directory, 'file-system')
  rmSync(made, { force: true })
  if (options.length === 0) writeFileSync(made, new Uint8Array(16 * MIB))
  await tool(program, ...options, made, ...(options.length === 0 ? [] : [String(16 * 1024)]))
  await tool('dd', `if=${made}`, `of=${image}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none')
}

function write(name: string, content: string): void {
  const path = join(directory, 'source', name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  utimesSync(path, 1_700_000_000, 1_700_000_000)
}

function define(name: string, source: string, target: string): void {
  mkdirSync(join(directory, 'definitions'), { recursive: true })
  const text = `[Source]\n${source}\nPath=${directory}/source\n[Target]\n${target}\n`
  writeFileSync(join(directory, 'definitions', `${name}.transfer`), text)
}

/** As somebody who has mtools and nothing else of a system. */
async function sysupdate(...argv: readonly string[]) {
  const where = [`--image=${image}`, `--definitions=${directory}/definitions`]
  const command = toolchain.command([process.execPath, MAIN, 'systemd-sysupdate', ...where, ...argv])
  const { exitCode, stdout, stderr } = await runUnchecked(command)
  return { exitCode, stdout, lastError: stderr.trim().split('\n').at(-1) ?? '', stderr }
}

const esp = (): string => `${image}@@${MIB}`
const listed = async (): Promise<string[]> => {
  const { stdout } = await runUnchecked(toolchain.command(['mdir', '-b', '-a', '-/', '-i', esp(), '::/']))
  return stdout.trim().split('\n').sort()
}
const labels = () => parseGpt(readFileSync(image)).partitions.map(({ name }) => name)
const digest = () => createHash('sha256').update(readFileSync(image)).digest('hex')

async function expectSound(): Promise<void> {
  await tool('dd', `if=${image}`, `of=${directory}/check`, 'bs=1M', 'skip=1', 'count=16', 'status=none')
  expect(await tool('fsck.fat', '-n', `${directory}/check`)).toContain('files')
}

describe.skipIf(toolchain === undefined)('--image= (needs the tools: ./bootwright setup)', () => {
  it('updates files in the EFI partition beside the slots, and deletes the oldest', async () => {
    for (const version of ['1', '2', '3']) {
      if (version === '3') expect(await sysupdate('acquire')).toMatchObject({ exitCode: 0 })
      else expect(await sysupdate('update', version)).toMatchObject({ exitCode: 0 })
    }
    const pending = '::/EFI/Linux/.sysupdate.pending.k_3+3-0.efi'
    expect(await listed()).toEqual(['::/EFI/', '::/EFI/Linux/', pending, '::/EFI/Linux/k_2+3-0.efi'])
    expect(await sysupdate('--offline', 'update')).toMatchObject({ exitCode: 0 })
    expect(await listed()).toEqual(['::/EFI/', '::/EFI/Linux/', '::/EFI/Linux/k_2+3-0.efi', '::/EFI/Linux/k_3+3-0.efi'])
    expect(labels()).toEqual(['esp', 'u_3', 'u_2'])
    await tool('mcopy', '-m', '-i', esp(), '::/EFI/Linux/k_3+3-0.efi', join(directory, 'out'))
    expect(readFileSync(join(directory, 'out'), 'utf8')).toBe('kernel 3'.repeat(20_000))
    await expectSound()
    const { stdout } = await sysupdate('--json=short', 'list', '3')
    expect(JSON.parse(stdout)).toMatchObject({ installed: true, pending: false, partial: false, newest: true })
    // Blessed by a boot loader, it is the same version still, and is not acquired again.
    await tool('mdel', '-i', esp(), '::/EFI/Linux/k_3+3-0.efi')
    await tool('mcopy', '-i', esp(), join(directory, 'source/k_3.efi'), '::/EFI/Linux/k_3.efi')
    expect((await sysupdate('update')).lastError).toBe('No update needed.')
    expect(await sysupdate('-m', '1', 'vacuum')).toMatchObject({ exitCode: 0 })
    expect(await listed()).toContain('::/EFI/Linux/k_3.efi')
    expect(await listed()).not.toContain('::/EFI/Linux/k_2+3-0.efi')
  }, 60_000)

  it('goes on after a run that was ended, and puts directories where they are asked for', async () => {
    define(
      '50-addons',
      'Type=directory\nMatchPattern=d_@v',
      'Type=directory\nPath=/EFI/Linux\nPathRelativeTo=esp\nMatchPattern=k_@v.efi.extra.d/x',
    )
    write('d_1/a/b.efi', 'addon')
    await sysupdate('update', '1')
    write('left', 'half')
    await tool('mcopy', '-i', esp(), join(directory, 'source/left'), '::/EFI/Linux/.sysupdate.partial.k_2+3-0.efi')
    write('d_2/a/b.efi', 'addon 2')
    expect(await sysupdate('update', '2')).toMatchObject({ exitCode: 0 })
    const names = await listed()
    expect(names).toContain('::/EFI/Linux/k_2.efi.extra.d/x/a/b.efi')
    expect(names).toContain('::/EFI/Linux/k_2+3-0.efi')
    expect(names.filter((name) => name.includes('.sysupdate.'))).toEqual([])
    await expectSound()
  }, 60_000)

  it('writes nothing when the file cannot be had, or does not fit', async () => {
    await sysupdate('update', '1')
    rmSync(join(directory, 'definitions/10-usr.transfer'))
    const before = digest()
    write('k_9.efi', 'x'.repeat(17 * MIB))
    const full = await sysupdate('update', '9')
    expect(full).toMatchObject({
      exitCode: 1,
      lastError: expect.stringMatching(/has 17825792 bytes, and .*#1\/EFI\/Linux has room for \d+/),
    })
    expect(digest()).toBe(before)
    rmSync(join(directory, 'source/k_3.efi'))
    symlinkSync('nowhere', join(directory, 'source/k_3.efi'))
    expect((await sysupdate('update', '3')).lastError).toBe("Update '3' not found.")
    expect(digest()).toBe(before)
  }, 60_000)

  it('refuses what it cannot change without mounting it', async () => {
    await format('mkfs.ext4')
    expect((await sysupdate('update')).lastError).toMatch(
      /Partition 1 of .* holds no FAT file system, and no other one/,
    )
    define('90-uki', 'Type=regular-file\nMatchPattern=k_@v.efi', 'Type=regular-file\nPath=/x\nMatchPattern=k_@v.efi')
    expect((await sysupdate('update')).lastError).toContain("'/x' is in the root file system of")
    await format('mkfs.vfat', '-C')
    const target = 'Type=regular-file\nPath=/x\nPathRelativeTo=esp\nMatchPattern=k_@v.efi\nCurrentSymlink=current'
    define('90-uki', 'Type=regular-file\nMatchPattern=k_@v.efi', target)
    expect((await sysupdate('update')).lastError).toBe('CurrentSymlink= of 90-uki cannot be made in a disk image')
    await tool('sgdisk', '-t', `1:${USR}`, image)
    define(
      '90-uki',
      'Type=regular-file\nMatchPattern=k_@v.efi',
      'Type=regular-file\nPath=/x\nPathRelativeTo=esp\nMatchPattern=k_@v.efi',
    )
    expect((await sysupdate('update')).lastError).toContain("has no EFI or boot partition, where '/x' should be")
  }, 60_000)
})
