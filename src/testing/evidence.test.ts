import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepEvidence } from './evidence.ts'
import { scriptedGuest } from './guest.test-support.ts'

let root: string
const evidence = () => join(root, 'evidence')
const read = (name: string) => readFile(join(evidence(), name), 'utf8')

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bootwright-evidence-'))
  await writeFile(join(root, 'console.log'), 'Linux version 1\n')
})
afterEach(() => rm(root, { recursive: true, force: true }))

const source = { qmp: undefined, calls: ['12 ms  boot  ok'], transcript: '{}\n' }

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
