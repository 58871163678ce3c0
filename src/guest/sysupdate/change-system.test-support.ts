import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parseGpt, seededRandom } from '../../formats/index.ts'
import { run } from '../../system/index.ts'
import { partitionTypeNamed } from '../../sysupdate/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'

export const VERSIONS = ['1', '2', '3~rc1', '3', '4', '10.1']
const UUID = '0123456789abcdef0123456789abcdef'
const MIB = 1024 * 1024

export interface SystemShape {
  readonly seed: number
  /** Where the payloads behind addresses are. */
  readonly served: string
}

/** A system to be updated: files from a directory and from behind an address, a disk image with slots, a feature that is off. */
export async function makeSystem(root: string, shape: SystemShape, toolchain: Toolchain): Promise<void> {
  const random = seededRandom(shape.seed)
  const chance = (share: number): boolean => random() < share
  const at = (path: string): string => (path.startsWith('/') ? path : join(root, path))
  const write = (path: string, content: string | Uint8Array = ''): string => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), content)
    utimesSync(at(path), 1_700_000_000 + shape.seed, 1_700_000_000.25 + shape.seed)
    return at(path)
  }
  const transfer = (name: string, head: string[], source: string[], target: string[]): string =>
    write(
      `usr/lib/sysupdate.d/${name}.transfer`,
      ['[Transfer]', ...head, '[Source]', ...source, '[Target]', ...target, ''].join('\n'),
    )
  const some = (share: number, ...lines: string[]): string[] => (chance(share) ? lines : [])
  write('etc/os-release', 'ID=x\nIMAGE_VERSION=2\n')
  for (const path of ['src', 'var', shape.served]) mkdirSync(at(path), { recursive: true })

  transfer(
    '10-disk',
    ['Verify=no', ...some(0.3, 'ProtectVersion=%A')],
    ['Type=url-file', `Path=file://${shape.served}`, 'MatchPattern=p_@v_@u_@s.raw p_@v.raw'],
    [
      ...['Type=partition', 'Path=/disk.img', 'MatchPattern=p_@v', 'MatchPartitionType=usr'],
      ...some(0.5, 'PartitionFlags=0x8001000000000000'),
      ...some(0.5, 'ReadOnly=yes'),
      ...some(0.3, 'PartitionGrowFileSystem=yes'),
      ...some(0.3, 'InstancesMax=2'),
    ],
  )
  transfer(
    '20-url',
    ['Verify=no'],
    ['Type=url-file', `Path=file://${shape.served}`, 'MatchPattern=u_@v.raw.gz'],
    ['Type=regular-file', 'Path=/dst/url', 'MatchPattern=u_@v.raw', ...some(0.5, 'Mode=0600')],
  )
  transfer(
    '30-feature',
    ['Features=opt'],
    ['Type=regular-file', 'Path=/src', 'MatchPattern=f_@v.raw'],
    ['Type=regular-file', 'Path=/dst', 'MatchPattern=f_@v.raw'],
  )
  write('usr/lib/sysupdate.d/opt.feature', `[Feature]\nEnabled=${chance(0.5) ? 'yes' : 'no'}\n`)
  transfer(
    '40-directory',
    [],
    [`Type=${chance(0.5) ? 'directory' : 'subvolume'}`, 'Path=/src', 'MatchPattern=d_@v'],
    [
      ...[`Type=${chance(0.5) ? 'directory' : 'subvolume'}`, 'Path=/dirs', 'MatchPattern=d_@v'],
      ...some(0.5, 'CurrentSymlink=current'),
      ...some(0.4, 'InstancesMax=2'),
    ],
  )
  transfer(
    '50-tar',
    ['Verify=no'],
    chance(0.5)
      ? ['Type=url-tar', `Path=file://${shape.served}`, 'MatchPattern=t_@v.tar.gz']
      : ['Type=tar', 'Path=/src', 'MatchPattern=t_@v.tar.gz'],
    ['Type=directory', 'Path=/dirs', 'MatchPattern=t/@v_t', ...some(0.3, 'Mode=0711')],
  )
  transfer(
    '90-file',
    some(0.3, 'MinVersion=2'),
    ['Type=regular-file', 'Path=/src', 'MatchPattern=a_@v.raw'],
    [
      ...['Type=regular-file', 'Path=/dst', 'MatchPattern=a_@v+@l-@d.raw a_@v+@l.raw a_@v.raw'],
      // An absolute one below a root is followed by the original: it replaces the version that it leads to.
      ...some(0.5, 'CurrentSymlink=sub/current'),
      ...some(0.5, 'ReadOnly=yes'),
      ...some(0.4, 'InstancesMax=2'),
      ...some(0.3, 'TriesLeft=5'),
    ],
  )
  write('usr/lib/sysupdate.d/other.feature', '[Feature]\nSuggest=yes\n')
  write('usr/lib/sysupdate.part.component', `[Component]\nSuggest=${chance(0.5) ? 'yes' : 'no'}\n`)
  write(
    'usr/lib/sysupdate.part.d/x.transfer',
    '[Source]\nType=regular-file\nPath=/src\nMatchPattern=a_@v.raw\n' +
      '[Target]\nType=regular-file\nPath=/part\nMatchPattern=c_@v.raw\n',
  )
  const slots = ['_empty', '_empty', '_empty', 'other'].slice(0, chance(0.8) ? 4 : 2)
  const sized = slots.map((label, index) => [label, index === 1 ? 2 : 1] as const)
  await slotDisk(at('disk.img'), partitionTypeNamed('usr', 'x86-64') ?? '', sized, toolchain)

  const sums: string[] = []
  const serve = (name: string, content: Buffer): void => {
    write(join(shape.served, name), content)
    sums.push(`${createHash('sha256').update(content).digest('hex')} *${name}\n`)
  }
  for (const version of VERSIONS) {
    const content = Buffer.from(`${version} `.repeat(2000 + Math.floor(random() * 60_000)))
    if (chance(0.9)) {
      serve(chance(0.5) ? `p_${version}_${UUID}_${content.byteLength}.raw` : `p_${version}.raw`, content)
    }
    if (chance(0.9)) serve(`u_${version}.raw.gz`, chance(0.5) ? gzipSync(content) : content)
    if (chance(0.9)) chmodSync(write(`src/a_${version}.raw`, `a ${version}`), chance(0.5) ? 0o640 : 0o777)
    if (chance(0.9)) write(`src/f_${version}.raw`, `f ${version}`)
    const tree = (path: string): void => {
      chmodSync(write(`${path}/program`, `program ${version}`), 0o4755)
      write(`${path}/deep/er/file`, `file ${version}`)
      symlinkSync('../program', at(`${path}/deep/link`))
      chmodSync(at(`${path}/deep`), 0o2750)
      chmodSync(at(path), chance(0.5) ? 0o700 : 0o755)
    }
    tree(`src/d_${version}`)
    tree(`tar/${version}`)
    const hasRoot = chance(0.3)
    if (hasRoot) write(`tar/${version}/usr/lib/os-release`, 'ID=x\n')
    const packed = ['-C', at('tar'), '-czf', at(`src/t_${version}.tar.gz`), version]
    const flat = ['-C', at(`tar/${version}`), '-czf', at(`src/t_${version}.tar.gz`), '.']
    await run({ argv: ['tar', '--numeric-owner', ...(chance(0.5) ? packed : flat)] })
    serve(`t_${version}.tar.gz`, readFileSync(at(`src/t_${version}.tar.gz`)))
  }
  write(join(shape.served, 'SHA256SUMS'), sums.join(''))
}

/** The image of a disk with partitions of a type: label and mebibytes of each. */
export async function slotDisk(
  path: string,
  type: string,
  slots: readonly (readonly [label: string, mebibytes: number])[],
  toolchain: Toolchain,
): Promise<void> {
  writeFileSync(path, new Uint8Array(10 * MIB))
  const argv = slots.flatMap(([label, mebibytes], index) => [
    ...['-n', `${index + 1}:0:+${mebibytes}M`],
    ...['-t', `${index + 1}:${type}`, '-c', `${index + 1}:${label}`],
    ...['-u', `${index + 1}:00000000-0000-4000-8000-00000000000${index + 1}`],
  ])
  await run(toolchain.command(['sgdisk', '-U', '99999999-2222-4333-8444-555555555555', ...argv, path]))
}

const INPUTS: readonly string[] = ['usr', 'src', 'tar']

/** What a run can have changed: names, modes, contents and times, and the table and contents of the disk. */
export function snapshot(root: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12)
  const visit = (path: string): void => {
    for (const name of readdirSync(join(root, path))) {
      if (path === '' && INPUTS.includes(name)) continue
      const shown = path === '' ? name : `${path}/${name}`
      const full = join(root, shown)
      const facts = lstatSync(full)
      const mode = (facts.mode & 0o7777).toString(8)
      if (facts.isSymbolicLink()) found[shown] = `link ${readlinkSync(full)}`
      else if (facts.isDirectory()) {
        found[shown] = `directory ${mode}`
        visit(shown)
      } else if (name === 'disk.img') {
        const bytes = readFileSync(full)
        const { partitions, backup } = parseGpt(bytes)
        found[shown] = `disk, backup ${backup.state}`
        for (const one of partitions) {
          const content = hash(bytes.subarray(one.offset, one.offset + one.size))
          found[`${shown}#${one.number}`] =
            `${one.name} ${one.typeGuid} ${one.partitionGuid} ${one.attributes.toString(16)} ${content}`
        }
      } else {
        // What comes from an address has the time that the server tells, and that of a file tells none to the original.
        const time = path === 'dst/url' || name.endsWith('.conf') ? '' : ` ${Math.floor(facts.mtimeMs)}`
        found[shown] = `file ${mode} ${hash(readFileSync(full))}${time}`
      }
    }
  }
  visit('')
  return found
}
