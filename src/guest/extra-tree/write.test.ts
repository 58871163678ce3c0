import { copyFile, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lookUpHwdb } from '../../formats/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { writeExtraTree } from './write.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const FILE = 'usr/lib/udev/hwdb.d/40-imds.hwdb'
const UNITS = 'usr/lib/systemd/system'
let directory: string
let tree: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-tree-'))
  tree = join(directory, 'tree')
  await writeFile(join(directory, 'program'), '#!/bin/sh\n', { mode: 0o755 })
  await writeExtraTree(tree, join(directory, 'program'))
})
afterAll(() => rm(directory, { recursive: true }))

async function unitNames(): Promise<string[]> {
  return (await readdir(join(tree, UNITS))).filter((name) => !name.endsWith('.d'))
}

/** What a unit says besides words for people; the order within its sections does not matter in these. */
function settings(unit: string): string[] {
  return unit
    .split('\n')
    .filter((line) => line !== '' && !/^(#|Description=|Documentation=)/.test(line))
    .map((line) => {
      const [key, value = ''] = line.split(/=(.*)/s)
      return key === 'CapabilityBoundingSet' ? `${key}=${value.split(' ').sort().join(' ')}` : line
    })
    .sort()
}

async function databaseOf(file: string): Promise<Buffer> {
  const root = await mkdtemp(join(directory, 'hwdb-'))
  await mkdir(join(root, 'etc/udev/hwdb.d'), { recursive: true })
  await copyFile(file, join(root, 'etc/udev/hwdb.d/40-imds.hwdb'))
  await run(toolchain.command(['systemd-hwdb', '--root', root, '--strict', 'update']))
  return readFile(join(root, 'etc/udev/hwdb.bin'))
}

describe('writeExtraTree()', () => {
  it('has the program once, and a link to it for each tool', async () => {
    expect((await stat(join(tree, 'usr/lib/bootwright/guest-tools'))).mode & 0o111).toBe(0o111)
    expect(await readlink(join(tree, 'usr/lib/systemd/systemd-imdsd'))).toBe('../bootwright/guest-tools')
    const generator = join(tree, 'usr/lib/systemd/system-generators/systemd-imds-generator')
    expect(await readlink(generator)).toBe('../../bootwright/guest-tools')
    expect(await readFile(generator, 'utf8')).toBe('#!/bin/sh\n')
    expect(await readFile(join(tree, 'usr/lib/systemd/systemd-sysupdate'), 'utf8')).toBe('#!/bin/sh\n')
  })

  it('replaces nothing, and leaves nothing half-made', async () => {
    await expect(writeExtraTree(tree, join(directory, 'program'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await readdir(directory)).sort()).toEqual(['program', 'tree'])
  })

  it('is read only by programs that do without what a sandbox forbids', async () => {
    for (const name of await unitNames()) {
      expect(await readFile(join(tree, UNITS, name), 'utf8')).not.toContain('MemoryDenyWriteExecute')
    }
  })
})

describe.skipIf(toolchain === undefined)('writeExtraTree() (needs the tools: ./bootwright setup)', () => {
  it('has units that systemd has nothing to say against', async () => {
    const units = (await unitNames()).map((name) => `/${UNITS}/${name}`)
    const script = [
      'mount -t overlay -o "lowerdir=$1/usr/lib/systemd/system:/usr/lib/systemd/system" overlay /usr/lib/systemd/system',
      'shift; systemd-analyze verify --man=no "$@"',
    ].join('\n')
    const names = units.map((path) => path.replace(/@\./, '@x.'))
    const { stdout, stderr } = await runUnchecked(
      toolchain.command(['unshare', '--mount', 'sh', '-c', script, 'sh', tree, ...names]),
    )
    const complaints = `${stdout}${stderr}`
      .split('\n')
      .filter((line) => /imds|sysupdate/.test(line) && !/is not executable/.test(line))
    expect(complaints).toEqual([])
  })

  it('updates by units that do what those of systemd do, but for their sandbox against compilers', async () => {
    const theirs = join(toolchain.root, UNITS)
    const names = (await readdir(theirs)).filter((name) => /^systemd-sysupdate(?!-notify)/.test(name))
    expect(names).toHaveLength(9)
    for (const name of names) {
      const ours = settings(await readFile(join(tree, UNITS, name), 'utf8'))
      const original = settings(await readFile(join(theirs, name), 'utf8')).filter(
        (line) => !/^(MemoryDenyWriteExecute|XAttr\w+)=/.test(line),
      )
      expect({ name, lines: ours }).toEqual({ name, lines: original })
    }
  })

  it.for([
    ['dmi:bvnAmazonEC2:bvr1.0:svnAmazonEC2:pnm5.large:', 'amazon-ec2'],
    ['dmi:bvnX:cvnX:ct3:cat7783-7084-3265-9085-8269-3286-77:', 'microsoft-azure'],
    ['dmi:bvnGoogle:svnGoogle:pnGoogleComputeEngine:pvr:', 'google-gcp'],
    ['dmi:bvnHetzner:bvr20171111:', 'hetzner-cloud'],
    ['dmi:bvnSeaBIOS:svnQEMU:catOracleCloud.com:', 'oracle-cloud-oci'],
    ['dmi:bvnX:svnScaleway:pnSCW-DEV1-S:', 'scaleway'],
    ['dmi:bvnX:svnTencentCloud:pnCVM:', 'tencent-cloud'],
    ['dmi:bvnX:svnAlibabaCloud:pnAlibabaCloudECS:', 'alibaba-ecs'],
    ['dmi:bvnVultr:bvr:', 'vultr'],
    ['dmi:bvnDigitalOcean:bvr:svnDigitalOcean:', undefined],
  ] as const)('knows %s by its hardware as %s, as systemd does', async ([modalias, vendor]) => {
    const ours = lookUpHwdb(await databaseOf(join(tree, FILE)), modalias)
    expect(ours.get('IMDS_VENDOR')).toBe(vendor)
    expect(ours).toEqual(lookUpHwdb(await databaseOf(join(toolchain.root, FILE)), modalias))
  })
})
