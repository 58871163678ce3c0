import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RunResult, runUnchecked } from '../system/index.ts'

const LAUNCHER = join(import.meta.dirname, '../../bootwright')

let directory: string
let checkout: string

/** A checkout with a program that prints its arguments, and an npm that counts its calls. */
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-test-'))
  checkout = join(directory, 'check out')
  await mkdir(join(checkout, 'src/cli'), { recursive: true })
  await copyFile(LAUNCHER, join(checkout, 'bootwright'))
  await writeFile(join(checkout, 'package-lock.json'), '{}')
  await writeFile(
    join(checkout, 'src/cli/main.ts'),
    'process.stdout.write(JSON.stringify(process.argv.slice(2)) + "\\n")',
  )
  await script('npm', 'echo "$@" >>"$CALLS"; mkdir -p node_modules; sleep 0.2')
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

async function script(name: string, text: string): Promise<void> {
  await mkdir(join(directory, 'bin'), { recursive: true })
  const file = join(directory, 'bin', name)
  await writeFile(file, `#!/bin/sh\n${text}\n`)
  await chmod(file, 0o755)
}

async function launch(
  args: readonly string[] = [],
  options: { path?: string; file?: string } = {},
): Promise<RunResult> {
  const node = process.execPath.slice(0, process.execPath.lastIndexOf('/'))
  const path = options.path ?? `${join(directory, 'bin')}:${node}:/usr/bin:/bin`
  const env = { PATH: path, CALLS: join(directory, 'calls') }
  return runUnchecked({ argv: ['/bin/sh', options.file ?? join(checkout, 'bootwright'), ...args], cwd: directory, env })
}

async function npmCalls(): Promise<number> {
  const text = await readFile(join(directory, 'calls'), 'utf8').catch(() => '')
  return text.split('\n').length - 1
}

describe('bootwright (the launcher)', () => {
  it('installs once, then starts without npm, and hands arguments on', async () => {
    const first = await launch(['verify', 'a b', '$(id)', ''])
    expect(first).toMatchObject({ exitCode: 0, stdout: '["verify","a b","$(id)",""]\n' })
    expect(first.stderr).toMatch(/npm ci/)
    const second = await launch(['x'])
    expect(second).toMatchObject({ exitCode: 0, stdout: '["x"]\n', stderr: '' })
    expect(await npmCalls()).toBe(1)
  })

  it('installs again when package-lock.json changed', async () => {
    await launch()
    await writeFile(join(checkout, 'package-lock.json'), '{"changed":true}')
    await launch()
    expect(await npmCalls()).toBe(2)
  })

  it('does the work once when two start at the same time', async () => {
    const both = await Promise.all([launch(['1']), launch(['2'])])
    expect(both.map((result) => result.stdout)).toEqual(['["1"]\n', '["2"]\n'])
    expect(await npmCalls()).toBe(1)
  })

  it('redoes an installation that was interrupted', async () => {
    await script('npm', 'echo "$@" >>"$CALLS"; rm -rf node_modules; mkdir -p node_modules/half; kill -9 $PPID')
    await expect(launch()).rejects.toThrow()
    await script('npm', 'echo "$@" >>"$CALLS"; rm -rf node_modules; mkdir -p node_modules')
    expect(await launch(['again'])).toMatchObject({ exitCode: 0, stdout: '["again"]\n' })
    expect(await npmCalls()).toBe(2)
  })

  it('shows what npm said when it fails, and ends with status 3', async () => {
    await script('npm', 'echo "npm error network"; exit 1')
    const result = await launch()
    expect(result).toMatchObject({ exitCode: 3, stdout: '' })
    expect(result.stderr).toMatch(/npm error network\nbootwright: npm ci failed/)
  })

  it('takes an installation made by hand', async () => {
    await mkdir(join(checkout, 'node_modules'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await writeFile(join(checkout, 'node_modules/.package-lock.json'), '{}')
    expect(await launch()).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await npmCalls()).toBe(0)
  })

  it('finds its checkout through symbolic links, absolute and relative', async () => {
    await symlink(join(checkout, 'bootwright'), join(directory, 'absolute'))
    await mkdir(join(directory, 'sub'))
    await symlink('../absolute', join(directory, 'sub/relative'))
    expect((await launch(['a'], { file: 'sub/relative' })).stdout).toBe('["a"]\n')
    expect((await launch(['b'], { file: 'absolute' })).stdout).toBe('["b"]\n')
  })

  it('prefers the Node that npm installed', async () => {
    const own = join(checkout, 'node_modules', `node-linux-${process.arch}`, 'bin')
    await mkdir(own, { recursive: true })
    await writeFile(join(own, 'node'), '#!/bin/sh\necho own "$2"\n')
    await chmod(join(own, 'node'), 0o755)
    expect((await launch(['a'])).stdout).toBe('own a\n')
  })

  it.for([
    ['npm', 'npm is missing', ['sha256sum', 'flock', 'uname']],
    ['node', 'Node 26 is missing', ['sha256sum', 'flock', 'uname', 'mv', 'npm-stand-in']],
  ] as const)('says in one line that %s is missing, with status 3', async ([, message, tools]) => {
    const bin = join(directory, 'few')
    await mkdir(bin)
    for (const tool of tools) {
      if (tool === 'npm-stand-in')
        await writeFile(join(bin, 'npm'), '#!/bin/sh\n/bin/mkdir -p node_modules\n', { mode: 0o755 })
      else await symlink(`/usr/bin/${tool}`, join(bin, tool))
    }
    const result = await launch([], { path: bin })
    expect(result.exitCode).toBe(3)
    const lines = result.stderr
      .trim()
      .split('\n')
      .filter((line) => !line.includes('npm ci'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(message)
  })

  it('refuses a Node of the host that is too old', async () => {
    await script('node', 'echo v20.1.0')
    const result = await launch()
    expect(result.exitCode).toBe(3)
    expect(result.stderr).toContain('is v20.1.0')
  })
})
