import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-deprecations-'))
})

afterEach(() => rm(directory, { recursive: true, force: true }))

const deprecations = (...args: string[]) => runUnchecked({ argv: [process.execPath, PROGRAM, 'deprecations', ...args] })

it('bootwright deprecations lists uses in a directory, and says by its exit status whether there are any', async () => {
  await writeFile(join(directory, 'fine.sh'), 'bootctl list\n')
  expect(await deprecations(directory)).toMatchObject({ exitCode: 0, stdout: `0 uses in 1 files of ${directory}\n` })
  await writeFile(join(directory, 'old.sh'), '#!/bin/sh\nupdatectl update\n')
  const text = await deprecations(directory)
  expect(text.stdout).toMatch(
    /^old\.sh:2: sysupdated-bus\n {4}updatectl update\n {4}the D-Bus API .* Call io\.systemd\.SysUpdate/,
  )
  expect(text.exitCode).toBe(1)
  const json = await deprecations(directory, '--json')
  expect(JSON.parse(json.stdout)).toMatchObject({
    schema: 1,
    files: 2,
    findings: [{ path: 'old.sh', line: 2, text: 'updatectl update', interface: 'sysupdated-bus' }],
  })
  expect(json.exitCode).toBe(1)
})

it('bootwright deprecations says which images there are for a name that is none', async () => {
  const { exitCode, stderr } = await deprecations('nosuch')
  expect(stderr).toContain(
    'There is no image "nosuch"; there are: ab, agents, backport, cloud, cloud-init, cloud-init-imds, features, live-update, minimal, nvpcr',
  )
  expect(exitCode).toBe(2)
})
