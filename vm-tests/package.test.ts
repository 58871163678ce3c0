import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../src/system/index.ts'
import { OtherProject } from './support/other-project.ts'
import { CHECKOUT } from './support/scene.ts'

let project: OtherProject
let packed: string

const env = { PATH: `${join(process.execPath, '..')}:${process.env.PATH ?? ''}` }

/**
 * Installs the tarball without a registry: with npm where its cache has what Bootwright needs, else by hand. In both ways
 * Bootwright itself is real files below `node_modules`, where Node strips no types; what is missing comes from this checkout.
 */
async function install(tarball: string): Promise<void> {
  const modules = project.path('node_modules')
  const options = ['--offline', '--no-save', '--no-audit', '--no-fund', '--omit=optional']
  const npm = await runUnchecked({ argv: ['npm', 'install', ...options, tarball], cwd: project.directory, env })
  if (npm.exitCode !== 0) {
    await mkdir(join(modules, 'bootwright'), { recursive: true })
    await run({ argv: ['tar', '-xzf', tarball, '-C', join(modules, 'bootwright'), '--strip-components=1'] })
  }
  await linkMissing(join(CHECKOUT, 'node_modules'), modules)
}

async function linkMissing(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) {
    if (name.startsWith('.') || name.startsWith('node-linux-')) continue
    if (name.startsWith('@')) {
      await linkMissing(join(from, name), join(to, name))
      continue
    }
    await symlink(join(from, name), join(to, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

beforeAll(async () => {
  project = await OtherProject.make()
  const example = join(CHECKOUT, 'examples/first-test')
  for (const name of ['package.json', 'vm-tests']) {
    await cp(join(example, name), project.path(name), { recursive: true })
  }
  const argv = ['npm', 'pack', '--silent', '--pack-destination', project.directory]
  const { stdout } = await run({ argv, cwd: CHECKOUT, env })
  packed = project.path(stdout.trim().split('\n').at(-1) ?? '')
  await install(packed)
})

afterAll(() => project?.[Symbol.asyncDispose]())

describe('the package', () => {
  it('holds what runs, and nothing else', async () => {
    const { stdout } = await run({ argv: ['tar', '-tzf', packed] })
    const files = stdout.trim().split('\n')
    for (const name of [
      'package.json',
      'LICENSE',
      'dist/cli/main.js',
      'dist/testing/vitest.js',
      'dist/testing/vitest.d.ts',
      'dist/toolchain/enter-tree.sh',
      'ovmf/plain.json',
    ]) {
      expect(files).toContain(`package/${name}`)
    }
    expect(files.filter((name) => /\.test\.|test-support|\.fixture\.|(?<!\.d)\.ts$/.test(name))).toEqual([])
  })

  it('gives its types to who installs it', async () => {
    await project.write(
      'vm-tests/types.ts',
      `import { aws, type Boot, expect } from 'bootwright/vitest'
       export async function typed(boot: Boot): Promise<string> {
         const machine = await boot('minimal', { cloud: aws({ userData: '{}' }), tpm: 'absent' })
         await expect(machine).toRefuseBoot({ by: 'firmware', because: 'secure-boot' })
         // @ts-expect-error there is no such verb
         machine.explode()
         const { stdout } = await machine.run(['true'])
         return stdout
       }`,
    )
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'esnext',
      '--types',
      'node',
    ]
    const compiler = join(CHECKOUT, 'node_modules/typescript/bin/tsc')
    const { output, exitCode } = await project.run(
      process.execPath,
      compiler,
      ...options,
      'vm-tests/types.ts',
      'vm-tests/first.test.ts',
    )
    expect({ output, exitCode }).toEqual({ output: '', exitCode: 0 })
  })

  it('runs the tests of the example, with its own images', async () => {
    const { output, exitCode } = await project.run(process.execPath, 'node_modules/bootwright/dist/cli/main.js', 'test')
    expect(output.trimEnd().split('\n').at(-1), output).toBe('1 passed, 0 failed')
    expect(exitCode).toBe(0)
    // Nothing of a run that holds stays.
    expect(await project.evidence()).toEqual([])
  })

  it('makes the guest tools', async () => {
    const cli = 'node_modules/bootwright/dist/cli/main.js'
    const { output, exitCode } = await project.run(process.execPath, cli, 'guest-tools')
    expect(exitCode, output).toBe(0)
    const program = output.trim().split('\n').at(-1) ?? ''
    await project.write('linux', 'HALLO')
    const argv = [program, 'systemd-measure', 'calculate', `--linux=${project.path('linux')}`, '--bank=sha256']
    const tool = await run({ argv })
    expect(tool.stdout).toMatch(/^11:sha256=[0-9a-f]{64}$/m)
    expect((await runUnchecked({ argv: [program, 'systemd-nothing'] })).exitCode).toBe(1)
  })

  it('runs them with plain Vitest, too', async () => {
    await rm(project.path('out/runs'), { recursive: true, force: true })
    const { output, exitCode } = await project.run(process.execPath, 'node_modules/vitest/vitest.mjs', 'run')
    expect(exitCode, output).toBe(0)
    expect(output).toMatch(/Tests +1 passed/)
  })
})
