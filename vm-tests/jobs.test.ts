import { rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OtherProject } from './support/other-project.ts'
import { CHECKOUT } from './support/scene.ts'

/** Two files with this meet only while both have a machine. */
const meeting = (own: string, other: string) => `
import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from ${JSON.stringify(join(CHECKOUT, 'src/testing/vitest.ts'))}

test('meets the other', async ({ boot }) => {
  await using machine = await boot('minimal')
  await machine.run(['true'])
  writeFileSync('${own}-is-here', '')
  for (let turn = 0; turn < Number(process.env.TURNS) && !existsSync('${other}-is-here'); turn++) await sleep(100)
  expect(existsSync('${other}-is-here')).toBe(true)
})
`

let project: OtherProject

beforeAll(async () => {
  project = await OtherProject.make({
    'package.json': '{ "type": "module" }',
    'vm-tests/one.test.js': meeting('one', 'two'),
    'vm-tests/two.test.js': meeting('two', 'one'),
  })
  await symlink(join(CHECKOUT, 'node_modules'), project.path('node_modules'))
})

afterAll(() => project?.[Symbol.asyncDispose]())

async function summary(jobs: string, turns: number): Promise<string | undefined> {
  const command = ['env', `TURNS=${turns}`, process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'test', '--jobs', jobs]
  const { output } = await project.run(...command)
  return output.trimEnd().split('\n').at(-1)
}

describe('bootwright test --jobs', () => {
  it('1 runs one file after the other: the first waits for the second in vain', async () => {
    expect(await summary('1', 10)).toBe('1 passed, 1 failed')
  })

  it('2 runs two files at once, each with a machine', async () => {
    // What the first run has left would be a meeting with nobody.
    for (const name of ['one', 'two']) await rm(project.path(`${name}-is-here`), { force: true })
    expect(await summary('2', 600)).toBe('2 passed, 0 failed')
  })
})
