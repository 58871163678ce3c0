import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cache, removeTree } from './cache.ts'
import { hostApt } from './fixtures/host-apt.ts'
import { otherHost } from './fixtures/other-host.ts'
import { type ThrowAwayKey, throwAwayKey, writeArchive } from './fixtures/package-archive.ts'
import { readyToolchain, setUp } from './setup.ts'
import { TOOLS_PACKAGES } from './tools-packages.ts'

const key = await throwAwayKey()
const environment = { ...process.env }

let directory: string
let cache: Cache

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  cache = new Cache(join(directory, 'cache'))
})

afterEach(async () => {
  process.env = { ...environment }
  await removeTree(directory)
})

afterAll(async () => {
  await key?.[Symbol.asyncDispose]()
})

/** A mkosi that makes a "tools tree" of nothing but a package list, the way the real one is called. */
function standIn(packages: readonly string[], before = ''): string {
  const status = packages.map((name) => `Package: ${name}\nStatus: install ok installed\nVersion: 1.0\n`).join('\n')
  return `
import os, sys
options = dict(a[2:].split("=", 1) for a in sys.argv[1:] if a.startswith("--"))
assert sys.argv[-1] == "build", sys.argv
assert os.path.isfile(options["tools-tree-sandbox-tree"] + "/etc/apt/sources.list.d/mkosi.sources")
assert "ToolsTree=default" in open(options["directory"] + "/mkosi.conf").read()
root = options["directory"] + "/mkosi.tools"
${before}
os.makedirs(root + "/var/lib/dpkg")
os.makedirs(root + "/closed")
os.chmod(root + "/closed", 0o500)
open(root + "/var/lib/dpkg/status", "w").write(${JSON.stringify(status)})
`
}

const ALL = Object.keys(TOOLS_PACKAGES)

describe.skipIf(key === undefined)('setUp() with managed tools (needs gpg for a throw-away key)', () => {
  const signer = key as ThrowAwayKey

  async function serve(program: string): Promise<void> {
    const archive = join(directory, 'debian')
    await writeArchive(archive, signer, '27.4-1', { program })
    const keyring = join(directory, 'etc/apt/debian-archive-keyring.gpg')
    const source = `Types: deb\nURIs: file:${archive}\nSuites: trixie\nComponents: main\nSigned-By: ${keyring}\n`
    const files = { 'debian-archive-keyring.gpg': signer.publicKey, 'sources.list.d/debian.sources': source }
    Object.assign(process.env, await hostApt(directory, files))
  }

  it('makes everything, and the second time does nothing', async () => {
    await serve(standIn(ALL))
    expect(await readyToolchain({ cache })).toBeUndefined()
    const steps: string[] = []
    const first = await setUp({ cache, onProgress: (step) => steps.push(step) })
    expect(new Set(steps)).toContain('sources')
    expect(first.kind).toBe('managed')
    expect(first.versions).toMatchObject({ mkosi: '27.4-1', qemu: '1.0', swtpm: '1.0' })
    expect((await stat(join(first.root, 'var/lib/dpkg/status'))).isFile()).toBe(true)
    expect((await readdir(join(first.root, '..'))).sort()).toEqual(['tools.json', 'tree'])
    // Not even apt-config, which would not be found.
    process.env.PATH = '/nowhere'
    const again: string[] = []
    const second = await setUp({ cache, onProgress: (step) => again.push(step) })
    expect(again).toEqual([])
    expect(second.identity).toBe(first.identity)
    expect((await readyToolchain({ cache }))?.root).toBe(first.root)
  })

  it('gives another identity to other versions of the tools', async () => {
    await serve(standIn(ALL))
    const first = await setUp({ cache })
    await removeTree(cache.path('tools'))
    const record = cache.path('mkosi/forky/unpacked/usr/lib/python3/dist-packages/mkosi/__main__.py')
    await writeFile(record, standIn([...ALL, 'one-more']))
    const second = await setUp({ cache })
    expect(second.root).toBe(first.root)
    expect(second.identity).not.toBe(first.identity)
  })

  it('reads the apt configuration again when it changed', async () => {
    await serve(standIn(ALL))
    const first = await setUp({ cache })
    await writeFile(join(directory, 'etc/apt/apt.conf.d/90proxy'), 'Acquire::http::Proxy "http://proxy.invalid:1";')
    await writeFile(join(directory, 'apt.conf'), `Dir "${directory}";\nDir::Etc "etc/apt"; // changed\n`)
    const second = await setUp({ cache })
    expect(second.sandboxTree).not.toBe(first.sandboxTree)
    const settings = await readFile(join(second.sandboxTree ?? '', 'etc/apt/apt.conf.d/50bootwright'), 'utf8')
    expect(settings).toContain('proxy.invalid')
    expect(second.root).toBe(first.root)
  })

  it.for([
    ['fails', 'sys.exit("mkosi says no")', 'TOOL_FAILED', /mkosi says no/],
    [
      'cannot fetch packages',
      'sys.exit("E: Failed to fetch x  Hash Sum mismatch")',
      'PACKAGE_SOURCE',
      /not what it signed/,
    ],
    ['runs out of space', 'sys.exit("E: write failed: No space left on device")', 'NO_SPACE', /no space is left/],
  ] as const)('leaves nothing when mkosi %s', async ([, before, code, message]) => {
    await serve(standIn(ALL, `os.makedirs(root + "/half")\nos.chmod(root + "/half", 0)\n${before}`))
    await expect(setUp({ cache })).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    expect(await readdir(cache.path('tools'))).toEqual([])
  })

  it('does not take a tree for complete that lacks a package', async () => {
    await serve(standIn(ALL.filter((name) => name !== 'swtpm')))
    await expect(setUp({ cache })).rejects.toMatchObject({ message: expect.stringContaining('lacks swtpm') })
    expect(await readdir(cache.path('tools'))).toEqual([])
  })

  it('does not begin where there is no space', async () => {
    await serve(standIn(ALL, 'sys.exit("must not be started")'))
    const statFs = async () => ({ bavail: 1, bsize: 1024 * 1024 })
    await expect(setUp({ cache, statFs })).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(await readdir(cache.path('tools'))).toEqual([])
  })

  it('leaves nothing when it is aborted', async () => {
    const started = join(directory, 'started')
    await serve(standIn(ALL, `open(${JSON.stringify(started)}, "w").close()\nimport time\ntime.sleep(1000)`))
    const abort = new AbortController()
    const running = setUp({ cache, signal: abort.signal })
    const outcome = expect(running).rejects.toThrow('enough')
    while ((await stat(started).catch(() => undefined)) === undefined) await new Promise((r) => setTimeout(r, 20))
    abort.abort(new Error('enough'))
    await outcome
    expect(await readdir(cache.path('tools'))).toEqual([])
  })

  it('makes one tree for two who ask at the same time', async () => {
    const log = join(directory, 'log')
    await serve(standIn(ALL, `open(${JSON.stringify(log)}, "a").write("made\\n")\nimport time\ntime.sleep(0.3)`))
    const [a, b] = await Promise.all([setUp({ cache }), setUp({ cache: new Cache(cache.directory) })])
    expect(await readFile(log, 'utf8')).toBe('made\n')
    expect(a.root).toBe(b.root)
  })
})

describe('setUp() on another distribution', () => {
  const keyring = 'usr/share/keyrings/debian-archive-keyring.gpg'
  const arch = { osRelease: 'NAME="Arch Linux"\nPRETTY_NAME="Arch Linux"\nID=arch\n', mkosi: 'mkosi 27.1' }
  const ARCH_TREE = {
    'var/lib/pacman/local/qemu-base-11.1.0-2/desc': '',
    'var/lib/pacman/local/systemd-262.1-1/desc': '',
    'usr/share/edk2/x64/OVMF_CODE.4m.fd': 'code',
    'usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd': 'secure code',
    'usr/share/edk2/x64/OVMF_VARS.4m.fd': 'variables',
    [keyring]: '\x99\x01',
  }
  const mirror = 'http://mirror.example/debian'

  it('lets the mkosi of the host make the tree from the distribution of the host', async () => {
    const host = await otherHost(directory, { ...arch, tree: ARCH_TREE })
    const toolchain = await setUp({ cache, mirror, osReleaseFile: host.osReleaseFile })
    expect(toolchain).toMatchObject({
      kind: 'managed',
      versions: { mkosi: '27.1', qemu: '11.1.0-2', systemd: '262.1-1' },
    })
    const { argv, configuration } = await host.call()
    expect(argv.at(-1)).toBe('build')
    // Its own mirrors: the sources of Debian's archive are for images only.
    expect(argv.filter((word) => word.includes('sandbox-tree'))).toEqual([])
    expect(configuration).toMatch(/^Distribution=arch\nRelease=rolling$/m)
    expect(configuration).toMatch(/^ToolsTree=default\nToolsTreeDistribution=arch\nToolsTreeRelease=rolling$/m)
    for (const name of ['apt', 'debian-archive-keyring', 'qemu-base', 'edk2-ovmf', 'swtpm', 'gptfdisk']) {
      expect(configuration).toContain(`\n        ${name}\n`)
    }
    expect(await readlink(join(toolchain.root, 'usr/share/OVMF/OVMF_CODE_4M.fd'))).toBe('../edk2/x64/OVMF_CODE.4m.fd')
    const sources = join(toolchain.sandboxTree ?? '', 'etc/apt/sources.list.d/mkosi.sources')
    expect(await readFile(sources, 'utf8')).toMatch(
      /URIs: http:\/\/mirror.example\/debian[\s\S]*debian-archive-keyring/,
    )
    expect((await readyToolchain({ cache, mirror, osReleaseFile: host.osReleaseFile }))?.root).toBe(toolchain.root)
  })

  it('takes the release of a Fedora, and its names', async () => {
    const files = Object.fromEntries(
      ['CODE_4M', 'CODE_4M.secboot', 'VARS_4M'].map((name) => [`usr/share/OVMF/OVMF_${name}.fd`, name]),
    )
    const host = await otherHost(directory, {
      osRelease: 'PRETTY_NAME="Fedora Linux 43"\nID=fedora\nVERSION_ID=43\n',
      mkosi: 'mkosi 27.1',
      tree: { ...files, [keyring]: '\x99\x01' },
      rpm: 'qemu-kvm-core 2:10.1.0-4.fc43\nswtpm 0:0.10.1-1.fc43\n',
    })
    const toolchain = await setUp({ cache, mirror, osReleaseFile: host.osReleaseFile })
    expect(toolchain.versions).toMatchObject({ qemu: '2:10.1.0-4.fc43', swtpm: '0.10.1-1.fc43' })
    const { configuration } = await host.call()
    expect(configuration).toMatch(/^ToolsTreeDistribution=fedora\nToolsTreeRelease=43$/m)
    for (const name of ['apt', 'debian-keyring', 'qemu-kvm-core', 'swtpm-tools', 'systemd-udev']) {
      expect(configuration).toContain(`\n        ${name}\n`)
    }
  })

  it.for([
    ['a mirror', { ...arch, tree: {} }, undefined, 'PACKAGE_SOURCE', /Arch Linux has no apt.*mirror/, /--mirror URL/],
    [
      'a mkosi',
      { ...arch, mkosi: undefined },
      mirror,
      'TOOL_MISSING',
      /mkosi 27.*Arch Linux has none/,
      /pacman -S mkosi/,
    ],
    ['a newer mkosi', { ...arch, mkosi: 'mkosi 25.3' }, mirror, 'TOOL_MISSING', /has 25\.3/, /pacman -S mkosi/],
    ['a firmware', { ...arch, tree: { 'var/lib/pacman/local/x-1-1/desc': '' } }, mirror, 'TOOL_FAILED', /OVMF/, /host/],
    [
      'apt',
      { osRelease: 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\nPRETTY_NAME="openSUSE Tumbleweed"\n' },
      mirror,
      'HOST_UNSUITABLE',
      /openSUSE Tumbleweed has no package of apt/,
      /Install apt/,
    ],
    [
      'a recipe',
      { osRelease: 'ID=gentoo\nPRETTY_NAME=Gentoo\n' },
      mirror,
      'HOST_UNSUITABLE',
      /No tools tree is known for Gentoo/,
      /Fedora/,
    ],
    [
      'a Fedora',
      { osRelease: 'ID=rhel\nID_LIKE=fedora\nVERSION_ID=10.1\n' },
      mirror,
      'HOST_UNSUITABLE',
      /known for rhel/,
      /Fedora/,
    ],
  ] as const)('says what it lacks: %s', async ([, host, givenMirror, code, message, hint]) => {
    const { osReleaseFile } = await otherHost(directory, host)
    await expect(setUp({ cache, mirror: givenMirror, osReleaseFile })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    })
    expect(await readdir(cache.path('tools')).catch(() => [])).toEqual([])
  })

  it('makes the tree from Debian wherever there is apt', async () => {
    const { osReleaseFile } = await otherHost(directory, { ...arch, tree: {} })
    process.env.PATH = environment.PATH
    await expect(setUp({ cache, mirror: 'file:/nowhere', osReleaseFile })).rejects.toMatchObject({
      code: 'PACKAGE_SOURCE',
    })
    await expect(readdir(join(directory, 'called'))).rejects.toThrow('ENOENT')
  })
})

describe("setUp() with the host's tools", () => {
  const good: Readonly<Record<string, string>> = {
    'qemu-system-x86_64': 'QEMU emulator version 9.2.0 (Debian)',
    'qemu-img': 'qemu-img version 9.2.0',
    swtpm: 'TPM emulator version 0.10.0',
    swtpm_setup: 'TPM emulator setup tool version 0.10.0',
    'systemd-repart': 'systemd 258 (258.1)',
    'systemd-hwdb': 'systemd 258 (258.1)',
    bootctl: 'systemd 258 (258.1)',
    ukify: 'ukify 258 (258.1)',
    'apt-get': 'apt 3.1.2 (amd64)',
    dpkg: "Debian 'dpkg' package management program version 1.22.21 (amd64).",
    kmod: 'kmod version 34',
    cpio: 'cpio (GNU cpio) 2.15',
    zstd: '*** Zstandard CLI (64-bit) v1.5.7, by Yann Collet ***',
    'mkfs.ext4': 'mke2fs 1.47.2 (1-Jan-2025)',
    'mkfs.fat': 'mkfs.fat 4.2 (2021-01-31)',
    dnsmasq: 'Dnsmasq version 2.91',
    ip: 'ip utility, iproute2-6.15.0',
    mcopy: 'mcopy (GNU mtools) 4.0.49',
    tpm2_pcrread: 'tool="tpm2_pcrread" version="5.7"',
    openssl: 'OpenSSL 3.5.1 1 Jul 2025',
    mkosi: 'mkosi 27.1',
  }

  async function install(tools: Readonly<Record<string, string>>): Promise<void> {
    const bin = join(directory, 'bin')
    await mkdir(bin)
    for (const [name, says] of Object.entries(tools)) {
      await writeFile(join(bin, name), `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 })
    }
    process.env.PATH = `${bin}:/usr/bin:/bin`
  }

  async function place(files: readonly string[]): Promise<void> {
    for (const file of files) {
      await mkdir(join(directory, 'root', file, '..'), { recursive: true })
      await writeFile(join(directory, 'root', file), file)
    }
  }

  const DEBIAN = ['OVMF_CODE_4M.fd', 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.fd'].map(
    (name) => `usr/share/OVMF/${name}`,
  )
  const host = () => ({ toolchain: 'host', cache, root: join(directory, 'root') }) as const

  it('takes them when they are new enough', async () => {
    await install(good)
    await place(DEBIAN)
    const toolchain = await setUp(host())
    expect(toolchain).toMatchObject({ kind: 'host', root: join(directory, 'root') })
    expect(toolchain.versions).toMatchObject({
      qemu: '9.2.0',
      swtpm: '0.10.0',
      systemd: '258.1',
      zstd: '1.5.7',
      mkosi: '27.1',
    })
    expect(toolchain.versions).toMatchObject({ e2fsprogs: '1.47.2', 'tpm2-tools': '5.7', ip: '6.15.0' })
    expect(toolchain.command(['swtpm', '--version']).argv).toEqual(['swtpm', '--version'])
    expect(toolchain.mkosi(['build']).argv).not.toContainEqual(expect.stringContaining('--tools-tree'))
    // Another firmware makes other measurements.
    await writeFile(join(directory, 'root', DEBIAN[0] ?? ''), 'newer')
    expect((await setUp(host())).identity).not.toBe(toolchain.identity)
  })

  it('gives the firmware of a distribution that puts it elsewhere the names that it is known by', async () => {
    await install(good)
    await place(['CODE.4m', 'CODE.secboot.4m', 'VARS.4m'].map((name) => `usr/share/edk2/x64/OVMF_${name}.fd`))
    const { root } = await setUp(host())
    for (const file of DEBIAN) expect(await readFile(join(root, file), 'utf8')).toContain('edk2/x64')
    expect((await setUp(host())).root).toBe(root)
  })

  it('names the firmware when there is none, and the packages of this distribution', async () => {
    await install(good)
    await rm(join(directory, 'bin/qemu-img'))
    const osReleaseFile = join(directory, 'os-release')
    await writeFile(osReleaseFile, 'ID=fedora\nVERSION_ID=43\n')
    process.env.PATH = join(directory, 'bin')
    const failure = await setUp({ ...host(), osReleaseFile }).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'TOOL_MISSING', hint: expect.stringContaining(': qemu-img edk2-ovmf.') })
    expect((failure as Error).message).toContain('OVMF (without usr/share/OVMF/OVMF_CODE_4M.fd')
  })

  it('names all that are missing or too old', async () => {
    const { 'qemu-img': _, ...most } = good
    await install({ ...most, swtpm: 'TPM emulator version 0.7.3', mkosi: 'mkosi 14' })
    // The host's own must not stand in for the one that is missing.
    process.env.PATH = join(directory, 'bin')
    const failure = setUp({ toolchain: 'host', cache })
    await expect(failure).rejects.toMatchObject({ code: 'TOOL_MISSING' })
    const { message, hint } = (await failure.catch((error: unknown) => error)) as Error & { hint: string }
    expect(message).toContain('swtpm 0.8 or newer (found 0.7.3)')
    expect(message).toContain('qemu-img 9 or newer (found none)')
    expect(message).toContain('mkosi 27')
    expect(message).not.toContain('openssl')
    expect(hint).toContain('qemu-utils')
  })
})
