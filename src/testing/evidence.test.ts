import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Command, run } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'
import { keepEvidence } from './evidence.ts'
import { scriptedGuest } from './guest.test-support.ts'

const tools = await readyToolchain().catch(() => undefined)
let root: string
const evidence = () => join(root, 'evidence')
const read = (name: string) => readFile(join(evidence(), name), 'utf8')

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bootwright-evidence-'))
  await writeFile(join(root, 'console.log'), 'Linux version 1\n')
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** One without systemd-journal-remote. */
const toolchain = { command: (): Command => ({ argv: ['false'] }) } as unknown as Toolchain
const source = { qmp: undefined, calls: ['12 ms  boot  ok'], transcript: '{}\n', toolchain }

describe('keepEvidence()', () => {
  it('asks the guest for what it has', async () => {
    const guest = scriptedGuest({
      'journalctl --boot --no-pager --output=export': '__CURSOR=1\nMESSAGE=hello\n',
      'sh -c cd /sys/class/tpm/tpm0 && grep . pcr-*/*': `pcr-sha256/11:${'AB'.repeat(32)}\n`,
      'coredumpctl --no-pager info': '  PID: 312\n',
      'ls -1t /var/lib/systemd/coredump': 'core.a b.zst\n',
      'cat -- /var/lib/systemd/coredump/core.a b.zst': Buffer.from([0, 255]),
    })
    await keepEvidence(evidence(), { ...source, stateDirectory: root, guest })
    expect((await readdir(evidence())).sort()).toEqual([
      'calls.txt',
      'console.log',
      'core.a_b.zst',
      'coredumps.txt',
      'journal.export',
      'metadata-transcript.jsonl',
      'missing.txt',
      'pcrs.json',
    ])
    expect(JSON.parse(await read('pcrs.json'))).toEqual({ sha256: { 11: 'ab'.repeat(32) } })
    expect(await readFile(join(evidence(), 'core.a_b.zst'))).toEqual(Buffer.from([0, 255]))
    expect(await read('missing.txt')).toContain('event-log.bin: the guest has none\n')
    expect(await read('missing.txt')).toContain('journal.journal: false failed with status 1')
  })

  it.skipIf(tools === undefined)('makes a file of the journal (needs the tools: ./bootwright setup)', async () => {
    const guest = scriptedGuest({
      'journalctl --boot --no-pager --output=export': [
        '__CURSOR=s=1;i=1;b=1;m=1;t=1;x=1',
        '__REALTIME_TIMESTAMP=1700000000000000',
        '__MONOTONIC_TIMESTAMP=1000000',
        `_BOOT_ID=${'1'.repeat(32)}`,
        'MESSAGE=hello',
        '',
        '',
      ].join('\n'),
    })
    const { command } = tools as Toolchain
    await keepEvidence(evidence(), { ...source, stateDirectory: root, guest, toolchain: tools as Toolchain })
    expect(await readdir(evidence())).not.toContain('journal.export')
    const file = join(evidence(), 'journal.journal')
    const { stdout } = await run(command(['journalctl', `--file=${file}`, '--output=cat']))
    expect(stdout).toBe('hello\n')
  })

  it('keeps what lies on the host when nobody in the guest answers, and says so', async () => {
    await keepEvidence(evidence(), { ...source, stateDirectory: root, guest: undefined })
    expect(await read('console.log')).toBe('Linux version 1\n')
    expect(await read('missing.txt')).toContain('journal.export: nobody in the guest answers\n')
  })

  it('stops asking a guest that has gone', async () => {
    let asked = 0
    const guest = {
      async runUnchecked(): Promise<never> {
        asked++
        throw new Error('the machine is off')
      },
    }
    await keepEvidence(evidence(), { ...source, stateDirectory: root, guest })
    expect(asked).toBe(1)
    expect(await read('missing.txt')).toContain('journal.export: the machine is off\n')
  })
})
