import { randomBytes } from 'node:crypto'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseGpt } from '../../formats/index.ts'
import { parseServeFault } from '../../release/index.ts'
import { runUnchecked } from '../../system/index.ts'

import {
  define,
  expectUntouched,
  expectVersion,
  files,
  labels,
  MIB,
  release,
  root,
  server,
  sign,
  sysupdate,
  toolchain,
  write,
} from './update-root.test-support.ts'

describe.skipIf(toolchain === undefined)(
  'update, when something is wrong, (needs the tools: ./bootwright setup)',
  () => {
    it.for<readonly [string, string, (() => void)?]>([
      ['/p_2.raw truncate 1000', 'Cannot download'],
      ['/p_2.raw corrupt 5', 'the manifest says'],
      ['/u_2.raw status 404', 'Cannot download'],
      ['/u_2.raw corrupt 3', 'the manifest says'],
      ['/SHA256SUMS status 500', 'Cannot download'],
      [
        '/none endless',
        'has no signature',
        () =>
          define('20-url', [], `Type=url-file\nPath=${server.url}\nMatchPattern=u_@v.raw`, [
            'Type=regular-file',
            'Path=/dst',
            'MatchPattern=u_@v.raw',
          ]),
      ],
      [
        '/none endless',
        'Invalid filename',
        () => sign((lines) => lines.map((line) => line.replace('*u_', '*sub/../u_'))),
      ],
      ['/none endless', 'decoded to 31 bytes', () => sign((lines) => lines.map((line) => line.replace(/^../, '  ')))],
      ['/none endless', 'has 3145728 bytes, and the largest free partition', () => release('2', Buffer.alloc(3 * MIB))],
    ])(
      'leaves the running version alone when it fails, and the next one succeeds: %s',
      async ([fault, words, prepare]) => {
        write('etc/systemd/import-pubring.pgp', '')
        prepare?.()
        if (words.includes('largest')) {
          define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v_@s.raw`, [
            ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
          ])
          write('url/p_2_3145728.raw', Buffer.alloc(3 * MIB))
          sign()
        }
        const rule = server.fail(parseServeFault(fault))
        const failed = await sysupdate('update')
        rule[Symbol.dispose]()
        expect(failed.lastError).toContain(words)
        expect(failed).toMatchObject({ exitCode: 1, stdout: '' })
        expectUntouched()
        define('10-disk', ['Verify=no'], `Type=url-file\nPath=${server.url}\nMatchPattern=p_@v.raw`, [
          ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
        ])
        release('2')
        expect(await sysupdate('--verify=no', 'update')).toMatchObject({ exitCode: 0 })
        expectVersion('2')
      },
    )

    it('does not take a payload that does not fit into its slot', async () => {
      release('2', randomBytes(3 * MIB))
      expect((await sysupdate('update')).lastError).toContain('does not fit in partition 2')
      expectUntouched()
      release('2')
      await sysupdate('update')
      expectVersion('2')
    })

    it.for(['overlap', 'none'])('refuses a disk whose table is no table: %s', async (what) => {
      const path = join(root, 'disk.img')
      const good = readFileSync(path)
      if (what === 'none') write('disk.img', Buffer.alloc(8 * MIB))
      else write('disk.img', overlapping(good))
      const { exitCode, lastError } = await sysupdate('update')
      expect(exitCode).toBe(1)
      expect(lastError).toMatch(what === 'none' ? /has no GPT disk label/ : /damaged GPT disk label.*partition 1 ends/)
      expect(files()).toEqual(['a_1', 'u_1.raw'])
      write('disk.img', good)
      await sysupdate('update')
      expectVersion('2')
    })

    it('is one at a time, and says who is at it', async () => {
      const slow = server.fail(parseServeFault('/p_2.raw slow 2000000'))
      const first = sysupdate('update')
      await expect.poll(() => server.requests.some(({ path }) => path.includes('p_2'))).toBe(true)
      for (const verb of ['update', 'acquire', 'vacuum']) {
        const { exitCode, lastError } = await sysupdate(verb)
        expect(exitCode).toBe(1)
        expect(lastError).toMatch(/^\/.*\/disk\.img is being updated by process \d+ \(.*\)$/)
      }
      expect((await sysupdate('list')).exitCode).toBe(0)
      expect(await first).toMatchObject({ exitCode: 0 })
      slow[Symbol.dispose]()
      expectVersion('2')
    })

    it('leaves nothing in a file system that becomes full, and succeeds once there is room', async () => {
      // Packed, so that nobody knows the size before.
      write('url/u_2.raw', gzipSync(randomBytes(MIB)))
      sign()
      const updater = `"${process.execPath}" "${join(import.meta.dirname, '../../cli/main.ts')}" sysupdate --root="${root}" update`
      const script = [
        `mount -t tmpfs -o size=256k tmpfs "${root}/dst"; echo u1 >"${root}/dst/u_1.raw"; echo a1 >"${root}/dst/a_1"`,
        `${updater} 2>&1 | tail -n1; ls -A "${root}/dst"; df --output=used "${root}/dst" | tail -n1`,
        `mount -o remount,size=8m "${root}/dst"; ${updater} >&2; echo $?; ls -A "${root}/dst"`,
      ]
      const argv = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script.join('\n')]
      const { stdout, stderr } = await runUnchecked({ argv })
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => line.trim())
      expect(lines[0], stderr).toMatch(/no space is left|does not fit in u_2\.raw/)
      expect(lines.slice(1, 3)).toEqual(['a_1', 'u_1.raw'])
      expect(Number(lines[3])).toBeLessThan(16)
      expect(lines.slice(4)).toEqual(['0', 'a_1', 'a_2', 'u_1.raw', 'u_2.raw'])
    }, 60_000)

    it('says when there is no room, and leaves everything', async () => {
      for (const name of ['10-disk', '20-url', '90-file']) {
        write(`etc/sysupdate.d/${name}.transfer.d/protect.conf`, '[Transfer]\nProtectVersion=1\nProtectVersion=2\n')
      }
      await sysupdate('update')
      write('disk.img', readFileSync(join(root, 'disk.img')))
      release('3')
      await sysupdate('update')
      release('4')
      for (const name of ['10-disk', '20-url', '90-file']) {
        write(
          `etc/sysupdate.d/${name}.transfer.d/protect.conf`,
          '[Transfer]\nProtectVersion=1\nProtectVersion=2\nProtectVersion=3\n',
        )
      }
      const before = [labels(), files()]
      const { exitCode, lastError } = await sysupdate('update')
      expect(exitCode).toBe(1)
      expect(lastError).toMatch(/is protected \(.*\): there is no room/)
      expect([labels(), files()]).toEqual(before)
    })

    it('follows no link that was planted below a target', async () => {
      const victim = join(root, 'victim')
      writeFileSync(victim, 'untouched')
      symlinkSync(victim, join(root, 'dst/.sysupdate.partial.a_2'))
      symlinkSync(victim, join(root, 'dst/a_2'))
      await sysupdate('update')
      expectVersion('2')
      expect(readFileSync(victim, 'utf8')).toBe('untouched')
    })
  },
)

/** The second partition begins where the first one ends. */
function overlapping(disk: Buffer): Buffer {
  const bytes = Buffer.from(disk)
  const { partitions } = parseGpt(bytes)
  const entries = bytes.subarray(1024, 1024 + 128 * 128)
  entries.writeBigUInt64LE(BigInt(partitions[0]?.lastLba ?? 0), 128 + 32)
  // Neither copy may be whole.
  bytes.fill(0, bytes.byteLength - 512)
  const header = bytes.subarray(512, 604)
  header.writeUInt32LE(crc32(entries), 88)
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header), 16)
  return bytes
}
