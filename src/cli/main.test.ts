import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')

let cache: string

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'bootwright-cli-'))
})

afterEach(() => rm(cache, { recursive: true, force: true }))

function bootwright(...args: string[]) {
  return runUnchecked({ argv: [process.execPath, PROGRAM, ...args], env: { BOOTWRIGHT_CACHE: cache } })
}

describe('bootwright', () => {
  it.for([
    [
      'There is no image "nosuch"; there are: ab, agents, backport, cloud, cloud-init, cloud-init-imds, features, live-update, minimal, nvpcr',
      'Use one',
      'build',
      'minimal',
      'nosuch',
    ],
    ['There is no image "nosuch"', 'Use one', 'boot', 'nosuch'],
    ['There is no image "nosuch"', 'Use one', 'verify', 'nosuch'],
    ['There is no cloud "nosuch"; there are: akamai, alibaba, aws', 'Use one', 'boot', 'minimal', '--cloud', 'nosuch'],
    ['There is no cloud "nosuch"', 'Use one', 'verify', 'minimal', '--cloud', 'nosuch'],
    ['There is no firmware "nosuch"; there are: ', 'Use one', 'boot', 'minimal', '--firmware', 'nosuch'],
    ['There is no firmware "nosuch"', 'Use one', 'verify', 'minimal', '--firmware', 'nosuch'],
    ['Expected --toolchain managed or host, found "mine"', 'managed', 'doctor', '--toolchain', 'mine'],
    ['Expected --toolchain managed or host, found "mine"', 'managed', 'setup', '--toolchain', 'mine'],
    ['A snapshot is a time like', 'Use one', 'setup', '--snapshot', '2026-05-01'],
    ['A mirror is an address like', 'Give', 'setup', '--mirror', 'mirror.example'],
    ["unknown option '--nosuch'", 'Add --help', 'build', '--nosuch'],
    ["unknown command 'nosuch'", 'Add --help', 'nosuch'],
  ] as const)('says "%s" and does nothing: %s … %s %s', async ([message, hint, ...args]) => {
    const { exitCode, stdout, stderr } = await bootwright(...args)
    expect(stderr).toContain(`error: ${message}`)
    expect(stderr).toMatch(new RegExp(`^hint: ${hint}`, 'm'))
    expect(stderr).not.toMatch(/ at .*\.ts:\d+/)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(await readdir(cache)).toEqual([])
  })
})
