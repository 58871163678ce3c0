import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lookUpHwdb } from '../../formats/index.ts'
import { runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain

/** The cases of patterns: what they are in a file of `hwdb.d`. */
const PATTERNS = [
  'dmi:bvnAmazonEC2:*',
  'dmi:*:cat7783-7084-3265:*',
  'dmi:*:pnGoogle?omputeEngine:*',
  'dmi:*:svn[ST]caleway:*',
  'dmi:*:svn[!a-z]lpha:*',
  'dmi:*:pv[0-9a-f]*:end',
  'dmi:exact',
  'dmi:*',
  'other:*',
]
const MODALIASES = [
  'dmi:bvnAmazonEC2:bvr1.0:',
  'dmi:bvnAmazonEC2',
  'dmi:bvnX:cat7783-7084-3265:',
  'dmi:bvnX:cat7783-7084-3265',
  'dmi:bvnX:pnGoogleComputeEngine:pvr:',
  'dmi:bvnX:pnGoogleOmputeEngine:',
  'dmi:a:svnScaleway:b:svnScaleway:',
  'dmi:a:svnTcaleway:',
  'dmi:a:svnXcaleway:',
  'dmi:a:svnAlpha:x',
  'dmi:a:svnalpha:x',
  'dmi:a:pva0:end',
  'dmi:a:pvx:end',
  'dmi:a:pv3:b:pv4:end:end',
  'dmi:exact',
  'dmi:exactly',
  'dmi:',
  'other:',
  '',
  'dmi:*:cat7783-7084-3265:*',
]

describe.skipIf(toolchain === undefined)('lookUpHwdb() (needs the tools: ./bootwright setup)', () => {
  let root: string
  let database: Buffer

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'bootwright-hwdb-'))
    await mkdir(join(root, 'etc/udev/hwdb.d'), { recursive: true })
    const entries = PATTERNS.map((pattern, index) => `${pattern}\n MATCH_${index}=yes\n WHO=${index}\n`)
    await writeFile(join(root, 'etc/udev/hwdb.d/10-first.hwdb'), entries.join('\n'))
    await writeFile(join(root, 'etc/udev/hwdb.d/20-second.hwdb'), 'dmi:bvnAmazonEC2:*\n WHO=second\n')
    const { exitCode } = await runUnchecked(toolchain.command(['systemd-hwdb', '--root', root, 'update']))
    expect(exitCode).toBe(0)
    database = await readFile(join(root, 'etc/udev/hwdb.bin'))
  })
  afterAll(() => rm(root, { recursive: true }))

  it.for(MODALIASES)('finds for %j what systemd-hwdb finds', async (modalias) => {
    const { stdout } = await runUnchecked(toolchain.command(['systemd-hwdb', '--root', root, 'query', modalias]))
    const expected = stdout.split('\n').filter(Boolean).sort()
    const found = [...lookUpHwdb(database, modalias)].map(([key, value]) => `${key}=${value}`).sort()
    expect(found).toEqual(expected)
  })

  it('refuses every truncation in front of its first string', () => {
    for (let length = 0; length < 200; length++) {
      expect(() => lookUpHwdb(database.subarray(0, length), 'dmi:exact')).toThrow(
        expect.objectContaining({ code: 'MALFORMED_INPUT' }),
      )
    }
  })
})
