import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../formats/index.ts'
import { run, runUnchecked } from '../../system/index.ts'
import { partitionTypeNamed } from '../../sysupdate/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { sysupdateHere } from './here.test-support.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const TREES = 5
const VERSIONS = ['1', '2', '3~rc1', '3', '10.1']
const UUID = '0123456789abcdef0123456789abcdef'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-sysupdate-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A system with files, a disk image and a release directory behind a URL, with features and components. */
async function makeRoot(seed: number): Promise<string> {
  const random = seededRandom(seed)
  const chance = (share: number): boolean => random() < share
  const root = join(directory, String(seed))
  const write = (path: string, content: string | Uint8Array = ''): string => {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    utimesSync(file, 1_700_000_000 + seed, 1_700_000_000 + seed)
    return file
  }
  const transfer = (name: string, head: string, source: string, target: string): string =>
    write(`usr/lib/sysupdate.d/${name}.transfer`, `[Transfer]\n${head}\n[Source]\n${source}\n[Target]\n${target}\n`)
  write('etc/os-release', 'ID=x\nIMAGE_VERSION=2\n')
  for (const side of ['src', 'dst', 'url']) mkdirSync(join(root, side), { recursive: true })

  const log = 'ChangeLog=https://x/@v/log\nAppStream=https://b/app\nAppStream=https://a/app'
  const protect = chance(0.5) ? 'ProtectVersion=%A' : ''
  transfer(
    '10-file',
    `${log}\n${protect}\n${chance(0.4) ? 'MinVersion=2' : ''}`,
    'Type=regular-file\nPath=/src\nMatchPattern=a_@v.raw',
    'Type=regular-file\nPath=/dst\nMatchPattern=a_@v+@l-@d.raw a_@v+@l.raw a_@v.raw',
  )
  const isOptional = chance(0.5)
  transfer(
    '20-optional',
    'Features=opt\nChangeLog=https://y/@v',
    'Type=regular-file\nPath=/src\nMatchPattern=b_@v_@m_@s.raw b_@v.raw',
    'Type=regular-file\nPath=/dst\nMatchPattern=b_@v.raw',
  )
  write(
    'usr/lib/sysupdate.d/opt.feature',
    `[Feature]\nDescription=Optional \u00e9\nEnabled=${isOptional ? 'yes' : 'no'}\n${chance(0.5) ? 'Suggest=yes' : 'SuggestOnFirmware=smbios-field(malformed)'}\n` +
      `Documentation=https://a/${'b'.repeat(Math.floor(random() * 40))}\nDocumentation=https://a/c\nAppStream=https://f/app\n`,
  )
  const hasDisk = chance(0.7)
  if (hasDisk) {
    transfer(
      '30-disk',
      'Verify=no',
      `Type=url-file\nPath=file://${root}/url\nMatchPattern=p_@v_@u_@f_@s_@t_@a_@r.raw p_@v_@f.raw p_@v_@u.raw`,
      'Type=partition\nPath=/disk.img\nMatchPattern=p_@v\nMatchPartitionType=usr',
    )
    const type = partitionTypeNamed('usr', 'x86-64') ?? ''
    const labels = ['_empty', ...VERSIONS.filter(() => chance(0.5)).map((version) => `p_${version}`)]
    const disk = write('disk.img', new Uint8Array(8 * 1024 * 1024))
    const slots = labels.flatMap((label, at) => [
      '-n',
      `${at + 1}:0:+1M`,
      '-t',
      `${at + 1}:${type}`,
      '-c',
      `${at + 1}:${label}`,
    ])
    await run(toolchain.command(['sgdisk', ...slots, disk]))
  }
  for (const version of VERSIONS) {
    if (chance(0.8)) write(`src/a_${version}.raw`)
    if (chance(0.8))
      write(chance(0.5) ? `src/b_${version}.raw` : `src/b_${version}_644_${Math.floor(random() * 1e7)}.raw`)
    if (chance(0.8))
      write(chance(0.5) ? `url/p_${version}_${UUID}.raw` : `url/p_${version}_${UUID}_1f_1536_1700000000000000_1_0.raw`)
    if (chance(0.6)) chmodSync(write(`dst/a_${version}${chance(0.5) ? (chance(0.5) ? '+3-0' : '+3') : ''}.raw`), 0o640)
    if (chance(0.6)) write(`dst/b_${version}.raw`)
  }
  if (seed % 5 === 0) write('dst/.sysupdate.pending.a_99.raw')
  if (seed % 4 === 0) write('dst/.sysupdate.partial.a_99.raw')
  const hash = createHash('sha256').digest('hex')
  const files = VERSIONS.flatMap((version) =>
    chance(0.8) ? [`p_${version}_${UUID}.raw`] : [`p_${version}_${UUID}_1f_1536_1700000000000000_1_0.raw`],
  )
  write('url/SHA256SUMS', files.map((name) => `${hash} *${name}\n`).join(''))
  write(
    'etc/sysupdate.foo.component',
    '[Component]\nDescription=A part\nDocumentation=https://z/1\nDocumentation=https://z/2\n',
  )
  write(
    'etc/sysupdate.foo.d/x.transfer',
    '[Source]\nType=directory\nPath=/src\nMatchPattern=c_@v\n[Target]\nType=directory\nPath=/dst\nMatchPattern=c_@v\n',
  )
  if (chance(0.5)) mkdirSync(join(root, 'src/c_7'))
  if (chance(0.5)) mkdirSync(join(root, 'dst/c_6'))
  write(
    'etc/sysupdate.bad.d/x.transfer',
    '[Source]\nType=tar\nPath=/src\nMatchPattern=@v\n[Target]\nType=partition\nPath=/x\nMatchPattern=@v\n',
  )
  write(
    'etc/sysupdate.off.d/x.transfer',
    '[Transfer]\nFeatures=none\n[Source]\nType=regular-file\nPath=/src\nMatchPattern=@v\n[Target]\nType=regular-file\nPath=/dst\nMatchPattern=@v\n',
  )
  return root
}

const IN_ROOT: readonly (readonly string[])[] = [
  [],
  ['list'],
  ['--no-legend', 'list'],
  ['--offline', 'list'],
  ['--offline', '--no-legend'],
  ['--json=short', 'list'],
  ['--json=pretty', 'list'],
  ...VERSIONS.flatMap((version) => [
    ['list', version],
    ['--json=short', 'list', version],
  ]),
  ['--json=pretty', 'list', '2'],
  ['--no-legend', '--offline', 'list', '2'],
  ['list', '99'],
  ['list', ''],
  ['check-new'],
  ['--json=short', 'check-new'],
  ['--offline', 'check-new'],
  ['features'],
  ['--no-legend', 'features'],
  ['--json=pretty', 'features'],
  ['features', 'opt'],
  ['--no-legend', 'features', 'opt'],
  ['--json=short', 'features', 'opt'],
  ['features', 'none'],
  ['components'],
  ['--no-legend', 'components'],
  ['--json=short', 'components'],
  ['--component=foo', 'components'],
  ['--component=foo', '--json=pretty', 'components'],
  ['--component=foo', 'list'],
  ['-C', 'foo', 'list', '7'],
  ['-C', 'foo', 'features'],
  ['-C', 'bad', 'list'],
  ['-C', 'off', 'list'],
  ['-C', 'off', 'features'],
  ['-C', 'absent', 'check-new'],
  ['--component=', '--verify=no', '--sync=yes', '--cleanup=no', '-m', '3', '--no-pager', 'list'],
  ['pending'],
]

const REFUSED: readonly (readonly string[])[] = [
  ['--bogus'],
  ['-x'],
  ['bogus'],
  ['chek'],
  ['xyzzyxyzzyxyzzy'],
  ['list', '1', '2'],
  ['features', '1', '2'],
  ['check-new', '1'],
  ['pending', '1'],
  ['components', '1'],
  ['--verify=x', 'list'],
  ['--sync=x', 'list'],
  ['--cleanup=x', 'list'],
  ['--json=x', 'list'],
  ['--json'],
  ['--offline=1', 'list'],
  ['-m', 'x', 'list'],
  ['--ver'],
  ['--component-'],
  ['--component=../', 'list'],
  ['--component=a/b', 'components'],
  ['--component=.component', 'list'],
  ['--component-all', 'list'],
  ['-S', 'features'],
  ['-A', 'components'],
  ['-a', 'features'],
  ['-s', 'list'],
  ['-C', 'foo', 'pending'],
  ['--definitions=/nowhere', 'list'],
  ['--definitions=/nowhere', 'pending'],
  ['--definitions=/nowhere', 'components'],
  ['--definitions=/nowhere', '--component=foo', 'list'],
  ['--definitions=/nowhere', '--root=/nowhere', 'list'],
  ['--json=help'],
  ['--image=/nowhere', '--root=/nowhere', 'list'],
  ['--image=/nowhere', '--reboot', 'update'],
  ['--image=/nowhere', '--definitions=/x', 'list'],
  ['--image=/nowhere', 'pending'],
  ['--image=/nowhere', '-A', 'list'],
  ['update', '1', '2'],
  ['update', '-S'],
  ['acquire', '-S', '-a'],
  ['update', '-m', '1'],
  ['acquire', '-m', '1'],
  ['update', '--reboot', '--root=/nowhere'],
  ['update', '--reboot', '-C', 'foo'],
  ['acquire', '--reboot', '-A'],
  ['vacuum', '-A'],
  ['vacuum', '1'],
  ['vacuum', '-m', '0'],
  ['cleanup', '--cleanup=no', '-a'],
  ['cleanup', '-S'],
  ['cleanup', '-a'],
  ['cleanup', 'x'],
  ['reboot', '-A'],
  ['reboot', '-C', 'foo'],
  ['reboot', '--root=/nowhere'],
  ['enable-feature'],
  ['enable-feature', 'x', '-a'],
  ['disable-feature', '-S', 'x'],
  ['enable-feature', '../x'],
  ['enable-feature', '--definitions=/nowhere', 'x'],
  ['enable-component'],
  ['enable-component', 'x', '-A'],
  ['disable-component', '-C', 'y', 'x'],
  ['disable-component', '-a'],
  ['enable-component', '--definitions=/nowhere', 'x'],
]

interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly lastError: string
}

/** What the originals write depends on these; each tree is looked at in one of them. */
const ENVIRONMENTS: readonly Environment[] = [
  {},
  { TERM: 'xterm', LANG: 'C.UTF-8' },
  { TERM: 'linux' },
  { TERM: 'xterm', LANG: 'C' },
  { LC_ALL: 'C', SYSTEMD_UTF8: '1', SYSTEMD_EMOJI: '1' },
]
type Environment = Readonly<Record<string, string>>

const SEPARATOR = '\u0001'

/** Each in a process of its own, one after the other in one shell. */
async function originals(lines: readonly (readonly string[])[], environment: Environment): Promise<Outcome[]> {
  const quoted = (word: string): string => `'${word}'`
  const variables = Object.entries(environment)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  const script = lines
    .map(
      (argv) =>
        `env -u TERM -u LANG -u LC_ALL -u LC_CTYPE ${variables} /usr/lib/systemd/systemd-sysupdate ${argv.map(quoted).join(' ')} 2>e; printf '\\001%d\\001' $?; tail -n1 e; printf '\\001'`,
    )
    .join('\n')
  const { stdout } = await runUnchecked(toolchain.command(['sh', '-c', `cd '${directory}'\n${script}`]))
  const parts = stdout.split(SEPARATOR)
  return lines.map((_, index) => {
    const [out = '', status, error = ''] = parts.slice(3 * index, 3 * index + 3)
    return { exitCode: Number(status), stdout: out, lastError: error.trim() }
  })
}

const ours = (argv: readonly string[], environment: Environment): Promise<Outcome> =>
  sysupdateHere(['--bug-compat=262', ...argv], environment)

/** What a partition is called is the original's fault; the words of a failure count, those of progress do not. */
function comparable({ exitCode, stdout, lastError }: Outcome, root: string, isFailure: boolean) {
  const shown = stdout
    .replaceAll(/\/proc\/self\/fd\/\d+p(\d+)/g, '<disk>$1')
    .replaceAll(new RegExp(`${root}/disk\\.img#(\\d+)`, 'g'), '<disk>$1')
  const paths = /<disk>/.test(shown) ? shown.replaceAll(/ +/g, ' ') : shown
  return { exitCode, stdout: paths, ...(isFailure ? { lastError } : {}) }
}

describe.skipIf(toolchain === undefined)('systemd-sysupdate (needs the tools: ./bootwright setup)', () => {
  it('says of the same systems what the original says', async () => {
    for (let seed = 1; seed <= TREES; seed++) {
      const root = await makeRoot(seed)
      const lines = IN_ROOT.map((argv) => [`--root=${root}`, ...argv])
      const environment = ENVIRONMENTS[seed % ENVIRONMENTS.length] as Environment
      const theirs = await originals(lines, environment)
      for (const [index, argv] of lines.entries()) {
        const their = theirs[index] as Outcome
        // A candidate that is not there is no failure with words.
        const isFailure = their.exitCode !== 0 && !argv.includes('check-new') && !argv.includes('bad')
        expect(comparable(await ours(argv, environment), root, isFailure), argv.join(' ')).toEqual(
          comparable(their, root, isFailure),
        )
      }
    }
  }, 240_000)

  it('refuses what the original refuses, in its words', async () => {
    const theirs = await originals(REFUSED, {})
    for (const [index, argv] of REFUSED.entries())
      expect(await ours(argv, {}), argv.join(' ')).toMatchObject(theirs[index] as Outcome)
  }, 120_000)
})
