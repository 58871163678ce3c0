import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect } from 'vitest'
import { parseGpt } from '../../formats/index.ts'
import { type FileServer, serveDirectory } from '../../release/index.ts'
import { unfinishedType } from '../../sysupdate/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { slotDisk } from './change-system.test-support.ts'
import { type HereOutcome, sysupdateHere } from './here.test-support.ts'

export const USR = '8484680c-9521-48c6-9c11-b0720656f69e'
export const PARTIAL = unfinishedType(USR, 'partial')
export const MIB = 1024 * 1024

export const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

export let root: string
export let server: FileServer

beforeEach(async () => {
  if (toolchain === undefined) return
  root = mkdtempSync(join(tmpdir(), 'bootwright-change-'))
  for (const path of ['url', 'src', 'dst']) mkdirSync(join(root, path))
  server = await serveDirectory(join(root, 'url'))
  write('etc/os-release', 'ID=x\nIMAGE_VERSION=1\n')
  define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v.raw`, [
    ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
    ...['PartitionFlags=0', 'ReadOnly=yes', 'PartitionGrowFileSystem=yes', 'PartitionNoAuto=yes'],
  ])
  define('20-url', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=u_@v.raw`, [
    ...['Type=regular-file', 'Path=/dst', 'MatchPattern=u_@v.raw'],
  ])
  define('90-file', [], 'Type=regular-file\nPath=/src\nMatchPattern=a_@v', [
    ...['Type=regular-file', 'Path=/dst', 'MatchPattern=a_@v', 'CurrentSymlink=/links/current', 'InstancesMax=2'],
  ])
  const slots = [
    ['p_1', 2],
    ['_empty', 2],
    ['_empty', 1],
  ] as const
  await slotDisk(join(root, 'disk.img'), USR, slots, toolchain)
  write('dst/u_1.raw', 'u1')
  write('dst/a_1', 'a1')
  release('2')
})

afterEach(async () => {
  if (toolchain === undefined) return
  await server[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

export function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

export function define(name: string, head: string[], source: string, target: string[]): void {
  const text = ['[Transfer]', ...head, '[Source]', source, '[Target]', ...target, '']
  write(`usr/lib/sysupdate.d/${name}.transfer`, text.join('\n'))
}

/** Of more than one piece, so that it can break in between. */
export function release(version: string, partition = Buffer.alloc(MIB - 1000, `p${version}`)): void {
  write(`url/p_${version}.raw`, partition)
  write(`url/u_${version}.raw`, gzipSync(`u${version}`))
  write(`src/a_${version}`, `a${version}`)
  sign()
}

export function sign(change: (lines: string[]) => string[] = (lines) => lines): void {
  const lines = readdirSync(join(root, 'url'))
    .filter((name) => name !== 'SHA256SUMS')
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(root, 'url', name)))
          .digest('hex')} *${name}`,
    )
  write('url/SHA256SUMS', `${change(lines).join('\n')}\n`)
}

export const sysupdate = (...argv: string[]): Promise<HereOutcome> => sysupdateHere([`--root=${root}`, ...argv])
export const table = () => parseGpt(readFileSync(join(root, 'disk.img'))).partitions
export const labels = () => table().map(({ name }) => name)
export const files = () => readdirSync(join(root, 'dst')).sort()
export const versions = async () => JSON.parse((await sysupdate('--json=short', '--offline')).stdout)

/** Nothing half-written or activated is left of a version that failed, and the one before it is as it was. */
export function expectUntouched(): void {
  const [first, ...others] = table()
  expect(first).toMatchObject({ name: 'p_1', typeGuid: USR })
  for (const { name, typeGuid } of others) {
    expect(name === '_empty' ? typeGuid === USR : typeGuid === unfinishedType(USR, 'pending')).toBe(true)
  }
  expect(files().filter((name) => !name.startsWith('.sysupdate.pending.'))).toEqual(['a_1', 'u_1.raw'])
  expect(readFileSync(join(root, 'dst/a_1'), 'utf8')).toBe('a1')
}

export function expectVersion(version: string): void {
  expect(labels()).toContain(`p_${version}`)
  expect(files()).toEqual(expect.arrayContaining([`a_${version}`, `u_${version}.raw`]))
  expect(readFileSync(join(root, `dst/u_${version}.raw`), 'utf8')).toBe(`u${version}`)
  const slot = table().find(({ name }) => name === `p_${version}`)
  const content = readFileSync(join(root, `url/p_${version}.raw`))
  const disk = readFileSync(join(root, 'disk.img'))
  expect(disk.subarray(slot?.offset, (slot?.offset ?? 0) + content.byteLength).equals(content)).toBe(true)
}
