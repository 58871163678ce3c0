import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../system/index.ts'
import { Cache } from './cache.ts'
import type { Mkosi } from './mkosi.ts'
import type { Toolchain } from './toolchain.ts'
import { belowUsr, treeToolchain } from './tree-toolchain.ts'

const unshare = await runUnchecked({ argv: ['unshare', '--user', '--map-root-user', '--mount', 'true'] })
const canUnshare = unshare.exitCode === 0 || process.getuid?.() === 0
const mkosi: Mkosi = { version: '27', origin: 'host', command: (args) => ({ argv: ['mkosi', ...args] }) }

let directory: string
let root: string
let toolchain: Toolchain

/** A tree of a few of the host's own programs with their libraries, enough to live in. */
async function makeTree(): Promise<void> {
  const files = new Set<string>()
  for (const name of ['sh', 'cat', 'env', 'id', 'mount', 'unshare', 'ls']) {
    const program = await realpath(join('/usr/bin', name))
    files.add(join('/usr/bin', name))
    const { stdout } = await run({ argv: ['ldd', program] })
    for (const [, library] of stdout.matchAll(/(\/\S+) \(0x/g)) {
      if (library !== undefined) files.add(library.startsWith('/usr/') ? library : join('/usr', library))
    }
  }
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await copyFile(file, join(root, file))
  }
  await writeFile(join(root, 'usr/marker'), 'the tree\n')
  await mkdir(join(root, 'etc'))
  await writeFile(join(root, 'etc/only-in-the-tree.conf'), 'from the tree\n')
  await writeFile(join(root, 'etc/passwd'), 'must not be seen\n')
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  root = join(directory, 'tree')
  await makeTree()
  const cache = new Cache(join(directory, 'cache'))
  toolchain = await treeToolchain(cache, { root, identity: 'test', versions: {} }, mkosi, join(directory, 'sandbox'))
})

afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe.skipIf(!canUnshare)('treeToolchain().command() (needs mount namespaces)', () => {
  it("runs with the tree's /usr, and with the host's paths elsewhere", async () => {
    const file = join(directory, 'outside')
    await writeFile(file, 'same path\n')
    const { stdout } = await run(toolchain.command(['cat', '/usr/marker', file]))
    expect(stdout).toBe('the tree\nsame path\n')
    expect((await runUnchecked({ argv: ['cat', '/usr/marker'] })).exitCode).not.toBe(0)
  })

  it("adds the tree's configuration to /etc, and keeps the host's own", async () => {
    const { stdout } = await run(toolchain.command(['cat', '/etc/only-in-the-tree.conf', '/etc/passwd']))
    expect(stdout).toBe(`from the tree\n${await readFile('/etc/passwd', 'utf8')}`)
  })

  it('hands arguments on as they are: nothing is a shell text', async () => {
    const words = ['$(id)', '`id`', "a'b", 'a b', '', '--', '; id', '-n', '*', '\\', 'line\nbreak']
    const print = 'for word; do printf "%s\\0" "$word"; done'
    const { stdout } = await run(toolchain.command(['sh', '-c', print, 'sh', ...words]))
    expect(stdout.split('\0').slice(0, -1)).toEqual(words)
  })

  it("clears what would bring the host's libraries and modules back", async () => {
    const env = {
      LD_LIBRARY_PATH: '/nowhere',
      PYTHONPATH: '/nowhere',
      PATH: `${process.env.PATH}:/nowhere`,
      KEPT: 'yes',
    }
    const { stdout } = await run(toolchain.command(['env'], { env }))
    expect(stdout).toContain('KEPT=yes')
    expect(stdout).not.toContain('/nowhere')
  })

  it('replaces itself by the program, which keeps process id and descriptors', async () => {
    const [file, ...args] = toolchain.command(['sh', '-c', 'echo $$; exec cat <&3']).argv
    const child = spawn(file ?? '', args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] })
    const input = child.stdio[3] as NodeJS.WritableStream
    input.end('through descriptor 3\n')
    let output = ''
    child.stdout?.on('data', (text: Buffer) => {
      output += text.toString()
    })
    await once(child, 'close')
    expect(output).toBe(`${child.pid}\nthrough descriptor 3\n`)
  })

  it('says which program is not there, with the status of a shell', async () => {
    const result = await runUnchecked(toolchain.command(['no-such-program']))
    expect(result.exitCode).toBe(127)
    expect(result.stderr).toContain('no-such-program')
  })

  it('passes the exit status on and leaves no mount behind', async () => {
    expect((await runUnchecked(toolchain.command(['sh', '-c', 'exit 42']))).exitCode).toBe(42)
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(directory)
  })

  it('keeps the rights over the network when it is called inside a user namespace', async () => {
    const outer = ['unshare', '--user', '--map-root-user', '--net', '--', 'sh', '-c']
    const print = 'readlink /proc/self/ns/user; exec "$@"'
    const { stdout } = await run({
      argv: [...outer, print, 'sh', ...toolchain.command(['sh', '-c', 'ls -l /proc/self/ns/user']).argv],
    })
    const [before, after] = stdout.split('\n')
    expect(after).toContain(before)
  })

  it('keeps what lies below /usr and was asked to stay, files and directories', async () => {
    const kept = ['/usr/share/dpkg', '/usr/bin/dpkg']
    const keeping = await treeToolchain(
      new Cache(join(directory, 'cache')),
      { root, identity: 'test', versions: {} },
      mkosi,
      join(directory, 'sandbox'),
      kept,
    )
    const { stdout } = await run(keeping.command(['ls', '/usr/share/dpkg/cputable', '/usr/bin/dpkg', '/usr/marker']))
    expect(stdout.split('\n').sort()).toEqual(['', '/usr/bin/dpkg', '/usr/marker', '/usr/share/dpkg/cputable'])
    expect((await runUnchecked(toolchain.command(['ls', '/usr/bin/dpkg']))).exitCode).not.toBe(0)
  })
})

describe('treeToolchain().mkosi()', () => {
  it('is given tools, sources and package cache before the arguments', () => {
    const { argv } = toolchain.mkosi(['--json', 'summary'])
    expect(argv.slice(-2)).toEqual(['--json', 'summary'])
    expect(argv).toContain(`--tools-tree=${root}`)
    expect(argv).toContain(`--sandbox-tree=${join(directory, 'sandbox')}`)
    expect(argv).toContain(`--package-cache-directory=${join(directory, 'cache/packages')}`)
  })
})

describe('belowUsr()', () => {
  it('keeps the outermost of the paths below /usr, and none elsewhere', async () => {
    const paths = ['/usr/share/dpkg/cputable', '/usr/share/dpkg', '/etc', '/usr/no/such', '/usrlocal']
    expect(await belowUsr(paths)).toEqual(['/usr/no/such', '/usr/share/dpkg'])
  })
})
