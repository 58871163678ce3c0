import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../system/index.ts'

const PROGRAM = join(import.meta.dirname, 'main.ts')
const FIXTURES = join(import.meta.dirname, '../measure/prediction/fixtures')
const fixture = (image: string, name: string): string => join(FIXTURES, image, name)
const LOG = fixture('minimal', 'event-log.bin')
const WORDS = fixture('minimal', 'tpm2-measure.log')
const PCRS = fixture('minimal', 'pcrs.json')

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-eventlog-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

function eventlog(...args: string[]) {
  return runUnchecked({ argv: [process.execPath, PROGRAM, 'eventlog', ...args] })
}

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, content)
  return path
}

describe('bootwright eventlog', () => {
  it('lists a log', async () => {
    const { exitCode, stdout, stderr } = await eventlog(LOG)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout.split('\n').filter((line) => / EV_/.test(line))).toHaveLength(52)
  })

  it('verifies both logs against PCR values', async () => {
    const good = await eventlog(LOG, '--userspace', WORDS, '--pcrs', PCRS, '--pcr', '4', '--pcr', '15')
    expect(good).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('✓ 2 of 2 PCR values') })
    const bad = await eventlog(LOG, '--pcrs', PCRS)
    expect(bad.exitCode).toBe(1)
    expect(bad.stdout).toContain("✗ PCR 4 (sha256): it fits with systemd's os-separator")
  })

  it('compares two logs', async () => {
    expect(await eventlog(LOG, '--diff', LOG)).toMatchObject({ exitCode: 0 })
    const words = ['--userspace', WORDS, '--diff-userspace', fixture('cloud', 'tpm2-measure.log')]
    const { exitCode, stdout } = await eventlog(LOG, '--diff', fixture('cloud', 'event-log.bin'), ...words)
    expect(exitCode).toBe(1)
    expect(stdout).toContain('PCR 11  ✗ different   section .cmdline: its content differs; expected sha256')
    expect(stdout).toContain('PCR 15  ✗ different   machine-id:')
  })

  it('prints JSON', async () => {
    const { exitCode, stdout } = await eventlog(LOG, '--userspace', WORDS, '--json', '--pcr', '11')
    expect(exitCode).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ schema: 1, format: 'crypto-agile', irregularities: [] })
    expect(report.events).toHaveLength(16)
    expect(report.pcrs).toEqual({ sha256: { 11: JSON.parse(await readFile(PCRS, 'utf8')).sha256[11] } })
  })

  it('says of a file that is no log where it stops being one: that is an answer, exit status 1', async () => {
    const cut = await file('cut.bin', (await readFile(LOG)).subarray(0, 500))
    const { exitCode, stdout, stderr } = await eventlog(cut, '--json')
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr).toMatch(/error: .*cut\.bin is no event log\. .* at offset \d+: needs \d+ bytes, but \d+ are left/)
    for (const content of ['', '\0'.repeat(100), 'just some text, long enough to be taken for a record']) {
      expect(await eventlog(await file('other.bin', content))).toMatchObject({ exitCode: 1, stdout: '' })
    }
    expect(await eventlog(LOG, '--diff', cut)).toMatchObject({ exitCode: 1, stdout: '' })
    expect(await eventlog(LOG, '--userspace', LOG)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('offset 0: expected 0x1e'),
    })
    expect((await eventlog(WORDS)).stderr).toContain('give it with --userspace')
  })

  it.for([
    ['There is no event log to read'],
    ["--pcrs needs the firmware's event log", '--userspace', WORDS, '--pcrs', PCRS],
    ["Expected systemd's log of both boots or of none", LOG, '--userspace', WORDS, '--diff', LOG],
    ['--diff-userspace needs --diff', LOG, '--diff-userspace', WORDS],
    ['there is no such file', join(FIXTURES, 'nosuch')],
    ['it is a directory', FIXTURES],
    ['is not JSON', LOG, '--pcrs', LOG],
    ['should have PCR values as text', LOG, '--pcrs', fixture('minimal', 'image.json')],
    ["argument '24' is invalid", LOG, '--pcr', '24'],
  ] as const)('is told wrong: %s, exit status 2', async ([message, ...args]) => {
    const { exitCode, stdout, stderr } = await eventlog(...args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/^hint: /m)
  })

  it('fits nothing if there are no values', async () => {
    expect(await eventlog(LOG, '--pcrs', await file('none.json', '{"sha256": {}}'))).toMatchObject({ exitCode: 1 })
  })

  it('does not mind a reader that stops', async () => {
    const { exitCode, stderr } = await runUnchecked({
      argv: [
        'sh',
        '-c',
        '{ "$0" "$1" eventlog "$2" --json; echo "status $?" >&2; } | head -c 1',
        process.execPath,
        PROGRAM,
        LOG,
      ],
    })
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: 'status 0\n' })
  })
})
