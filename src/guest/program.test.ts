import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import { Cache } from '../toolchain/index.ts'
import { guestToolsProgram } from './program.ts'
import { keptOutput } from './tool-output.test-support.ts'
import { guestTool } from './tools.ts'

let directory: string
let program: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-program-'))
  program = await guestToolsProgram(new Cache(join(directory, 'cache')))
  await symlink(program, join(directory, 'systemd-measure'))
  await writeFile(join(directory, 'linux'), Buffer.alloc(20 * 1024 * 1024, 'kernel'))
  await writeFile(join(directory, 'empty'), '')
}, 120_000)

afterAll(() => rm(directory, { recursive: true, force: true }))

/** By itself: without the environment in which Node and our sources are found. */
async function called(...argv: readonly string[]) {
  const { exitCode, stdout, stderr } = await runUnchecked({
    argv,
    env: { PATH: '/nonexistent', NODE_OPTIONS: '--help' },
  })
  return { exitCode, stdout, stderr }
}

async function inProcess(...argv: readonly string[]) {
  const { output, kept } = keptOutput()
  const exitCode = await guestTool('systemd-measure')(argv, output)
  return { exitCode, ...kept }
}

describe('guestToolsProgram()', () => {
  it('is the tool whose name it is called by, and says what that says', async () => {
    const tool = join(directory, 'systemd-measure')
    for (const argv of [
      ['--version'],
      ['calculate', `--linux=${join(directory, 'linux')}`, `--osrel=${join(directory, 'empty')}`],
      ['calculate', `--linux=${join(directory, 'linux')}`, '--bank=sha512', '--json=short'],
      ['calculate', `--linux=${directory}`],
      ['calculate', '--linux=/nonexistent'],
      ['calculate', '--unknown'],
    ]) {
      const ours = await called(tool, ...argv)
      expect(ours).toEqual(await inProcess(...argv))
      expect(ours.stdout + ours.stderr).not.toBe('')
    }
  })

  it('takes its first argument for the name when it has one of its own', async () => {
    expect(await called(program, 'systemd-measure', '--version')).toEqual(await inProcess('--version'))
    const unknown = await called(program, 'systemd-nothing')
    expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('systemd-measure') })
  })

  it('is made once', async () => {
    expect(await guestToolsProgram(new Cache(join(directory, 'cache')))).toBe(program)
  })
})
