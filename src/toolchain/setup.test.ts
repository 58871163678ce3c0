import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Cache, removeTree } from './cache.ts'
import { hostApt } from './fixtures/host-apt.ts'
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

describe("setUp() with the host's tools", () => {
  const good: Readonly<Record<string, string>> = {
    'qemu-system-x86_64': 'QEMU emulator version 9.2.0 (Debian)',
    'qemu-img': 'qemu-img version 9.2.0',
    swtpm: 'TPM emulator version 0.10.0',
    swtpm_setup: 'TPM emulator setup tool version 0.10.0',
    'systemd-repart': 'systemd 258 (258.1)',
    ukify: 'ukify 258 (258.1)',
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

  it('takes them when they are new enough', async () => {
    await install(good)
    const toolchain = await setUp({ toolchain: 'host', cache })
    expect(toolchain).toMatchObject({ kind: 'host', root: '/' })
    expect(toolchain.versions).toMatchObject({ qemu: '9.2.0', swtpm: '0.10.0', systemd: '258', mkosi: '27.1' })
    expect(toolchain.command(['swtpm', '--version']).argv).toEqual(['swtpm', '--version'])
    expect(toolchain.mkosi(['build']).argv).not.toContainEqual(expect.stringContaining('--tools-tree'))
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
