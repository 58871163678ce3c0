import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunResult, run, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { writeDebianPackage, writeSystemExtension } from './package.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const MEASURE = '/usr/lib/systemd/systemd-measure'
/** What another package has that cannot go: with its units. */
const UPDATE = [
  '/usr/lib/systemd/systemd-sysupdate',
  ...['.service', '.socket', '@.service', '-update.timer'].map(
    (name) => `/usr/lib/systemd/system/systemd-sysupdate${name}`,
  ),
].join(' ')
let directory: string
let program: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-package-'))
  program = join(directory, 'program')
  await writeFile(program, '#!/bin/sh\necho ours\n', { mode: 0o755 })
})
afterAll(() => rm(directory, { recursive: true }))

/**
 * Runs a script as root of the tools tree: a real system with its packages, in which everything that it writes to lies in
 * memory. `$1` is the directory of the test.
 */
function inSystem(script: string): Promise<RunResult> {
  const prepare = [
    'set -e',
    'mount -t tmpfs tmpfs /run',
    'mkdir -p /run/usr/upper /run/usr/work /run/etc/upper /run/etc/work',
    `mount -t overlay -o lowerdir=/usr,upperdir=/run/usr/upper,workdir=/run/usr/work overlay /usr`,
    `mount -t overlay -o lowerdir=${toolchain.root}/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc`,
    `cp -a ${toolchain.root}/var/lib/dpkg /run/dpkg`,
    'mount --bind /run/dpkg /var/lib/dpkg',
    'install() { dpkg --force-not-root --ignore-depends=libatomic1,libstdc++6 --log=/dev/null --install "$@"; }',
    'set +e',
  ]
  const command = ['unshare', '--mount', 'sh', '-c', [...prepare, script].join('\n'), 'sh', directory]
  return runUnchecked(toolchain.command(command))
}

interface OtherPackage {
  readonly version?: string
  readonly fields?: string
  /** Programs by path. */
  readonly files?: Readonly<Record<string, string>>
}

async function makePackage(name: string, { version = '262-1', fields = '', files = {} }: OtherPackage): Promise<void> {
  const tree = join(directory, name)
  await mkdir(join(tree, 'DEBIAN'), { recursive: true })
  const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: a <a@localhost>\nDescription: a\n${fields}`
  await writeFile(join(tree, 'DEBIAN/control'), control)
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(tree, path, '..'), { recursive: true })
    await writeFile(join(tree, path), content, { mode: 0o755 })
  }
  await run(toolchain.command(['dpkg-deb', '--root-owner-group', '--build', tree, `${tree}.deb`]))
}

describe.skipIf(toolchain === undefined)('writeDebianPackage() (needs the tools: ./bootwright setup)', () => {
  let deb: string

  beforeAll(async () => {
    deb = join(directory, 'ours.deb')
    await writeDebianPackage(deb, { program, toolchain })
    await makePackage('systemd-imds', {})
    await makePackage('needs-imds', { fields: 'Depends: systemd-imds (>= 262)\n' })
  })

  it('installs, is there in the place of the original, makes its user, and gives all back', async () => {
    const { stdout, stderr, exitCode } = await inSystem(`
      sum() { sha256sum <${MEASURE}; }
      before=$(sum)
      install "$1/ours.deb" >&2 || exit 1
      ${MEASURE}
      /usr/lib/systemd/systemd-imdsd
      [ "$(sha256sum <${MEASURE}.distrib)" = "$before" ] && echo diverted
      grep -o '^systemd-imds:' /etc/passwd
      systemd-hwdb query dmi:bvnHetzner:bvr20171111: | grep VENDOR
      dpkg --verify bootwright-guest-tools
      install "$1/needs-imds.deb" >&2 && echo provides
      install "$1/ours.deb" >&2 && echo again
      dpkg --remove needs-imds bootwright-guest-tools >&2 || exit 1
      [ "$(sum)" = "$before" ] && echo restored
      [ -e /usr/lib/systemd/systemd-imdsd ] || echo gone`)
    expect(stderr).not.toMatch(/error|warning/i)
    expect([exitCode, stdout.trim().split('\n')]).toEqual([
      0,
      [
        'ours',
        'ours',
        'diverted',
        'systemd-imds:',
        'IMDS_VENDOR=hetzner-cloud',
        'provides',
        'again',
        'restored',
        'gone',
      ],
    ])
  }, 60_000)

  it('is there in the place of systemd-sysupdate and its units, too, whichever came first', async () => {
    const program = { 'usr/lib/systemd/systemd-sysupdate': '#!/bin/sh\necho newer\n' }
    await makePackage('systemd-container', { version: '999', files: program })
    const { stdout, stderr, exitCode } = await inSystem(`
      sum() { cat ${UPDATE} | sha256sum; }
      before=$(sum)
      install "$1/ours.deb" >&2 || exit 1
      /usr/lib/systemd/systemd-sysupdate
      grep -l MemoryDenyWriteExecute /usr/lib/systemd/system/systemd-sysupdate*.service
      readlink /usr/lib/systemd/system/systemd-sysupdate.service
      dpkg --verify bootwright-guest-tools
      dpkg --remove bootwright-guest-tools >&2 || exit 1
      [ "$(sum)" = "$before" ] && echo restored
      find /usr/lib/systemd -name '*.distrib'
      install "$1/ours.deb" >&2 || exit 1
      install "$1/systemd-container.deb" >&2 || exit 1
      /usr/lib/systemd/systemd-sysupdate
      dpkg --remove bootwright-guest-tools >&2 || exit 1
      /usr/lib/systemd/systemd-sysupdate`)
    expect(stderr).not.toMatch(/error|warning/i)
    expect([exitCode, stdout.trim().split('\n')]).toEqual([
      0,
      ['ours', 'systemd-sysupdate-update.service', 'restored', 'ours', 'newer'],
    ])
  }, 60_000)

  it('takes the place of systemd-imds, which does not come back beside it', async () => {
    const { stdout, stderr } = await inSystem(`
      state() { dpkg-query --show --showformat '\${Package} \${db:Status-Status}\\n' systemd-imds bootwright-guest-tools; }
      install "$1/systemd-imds.deb" >&2
      install "$1/ours.deb" >&2
      state
      install "$1/systemd-imds.deb" >&2 || state`)
    const ours = 'bootwright-guest-tools installed\nsystemd-imds not-installed\n'
    expect(stdout).toBe(`${ours}${ours}`)
    expect(stderr).toContain('conflicting packages - not installing systemd-imds')
  }, 60_000)

  it('replaces nothing, and leaves nothing half-made', async () => {
    await expect(writeDebianPackage(deb, { program, toolchain })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    const failing = { program: join(directory, 'absent'), toolchain }
    await expect(writeDebianPackage(join(directory, 'other.deb'), failing)).rejects.toThrow('absent')
    expect((await readdir(directory)).filter((name) => /other|unfinished/.test(name))).toEqual([])
  })
})

describe.skipIf(toolchain === undefined)('writeSystemExtension() (needs the tools: ./bootwright setup)', () => {
  it('is an extension for every distribution that systemd knows', async () => {
    const file = join(directory, 'tools.raw')
    await writeSystemExtension(file, { program, toolchain })
    const out = join(directory, 'extracted')
    await run(toolchain.command(['fsck.erofs', `--extract=${out}`, file]))
    expect(await readFile(join(out, 'usr/lib/systemd/systemd-imdsd'), 'utf8')).toBe('#!/bin/sh\necho ours\n')
    const release = await readFile(join(out, 'usr/lib/extension-release.d/extension-release.tools'), 'utf8')
    expect(release).toMatch(/^ID=_any\nARCHITECTURE=[\w-]+\nEXTENSION_RELOAD_MANAGER=1\n$/)
    expect(await readdir(out)).toEqual(['usr'])
  })
})
