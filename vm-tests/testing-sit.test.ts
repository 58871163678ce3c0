import { spawnSync } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OtherProject } from './support/other-project.ts'
import { CHECKOUT } from './support/scene.ts'
import { converse, hasTerminals } from './support/terminal.ts'

const TEST = `
import { expect, test } from ${JSON.stringify(join(CHECKOUT, 'src/testing/vitest.ts'))}

test('fails with a machine', async ({ boot }) => {
  await using machine = await boot('minimal')
  await machine.writeFile('/run/clue', 'the clue')
  expect(await machine.run(['echo', 'a'])).toPrint('b')
})
`

const PASSING = `
import { expect, test } from ${JSON.stringify(join(CHECKOUT, 'src/testing/vitest.ts'))}

test('holds', async ({ boot }) => {
  const machine = await boot('minimal')
  expect(await machine.run(['echo', 'a'])).toPrint('a')
})
`

let project: OtherProject

beforeAll(async () => {
  project = await OtherProject.make({
    'package.json': '{ "type": "module" }',
    'vm-tests/sit.test.js': TEST,
    'vm-tests/debug.test.js': PASSING,
  })
  await symlink(join(CHECKOUT, 'node_modules'), project.path('node_modules'))
})

afterAll(() => project?.[Symbol.asyncDispose]())

describe.skipIf(!hasTerminals)('bootwright test --sit (needs script(1))', () => {
  it('stays in the machine of a test that failed, with a shell', async () => {
    const argv = [process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'test', 'sit', '--sit']
    const { exitCode, output, unasked } = await converse(project, argv, [
      [/A shell in machine .*:\/# $/s, () => 'cd /run; cat clue\n'],
      [/the clue.*:\/run# $/s, () => 'false\n'],
      [/\[status 1\].*:\/run# $/s, () => 'exit\n'],
    ])
    expect(unasked, output).toBe(0)
    expect(output).toContain('fails with a machine failed: Expected the command to print something else')
    expect(output.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed')
    expect(exitCode).toBe(1)
  })

  it('needs a terminal', async () => {
    const { exitCode, output } = await project.run(process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'test', '--sit')
    expect(output).toContain('Expected a terminal to stay on for --sit, found none')
    expect(exitCode).toBe(2)
  })
})

describe.skipIf(!hasTerminals)('bootwright test --debug (needs script(1))', () => {
  const argv = [process.execPath, join(CHECKOUT, 'src/cli/main.ts'), '--debug', 'test', 'debug']

  it('pauses before the end of a test, with its machines still on', async () => {
    let processes = ''
    const { exitCode, output, unasked } = await converse(project, argv, [
      [
        /The test is over; (\S+) is still on\. Enter ends\.\s*$/,
        () => {
          processes = spawnSync('ps', ['-eo', 'args']).stdout.toString()
          return '\n'
        },
      ],
    ])
    expect(unasked, output).toBe(0)
    const [, name = ''] = /The test is over; (\S+) is still on/.exec(output) ?? []
    expect(processes).toContain(name)
    expect(output.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed')
    expect(exitCode).toBe(0)
  })

  it('does not wait for anybody where there is no terminal', async () => {
    const { exitCode, output } = await project.run(...argv)
    expect(output).not.toContain('Enter ends')
    expect(output.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed')
    expect(exitCode).toBe(0)
  })
})
