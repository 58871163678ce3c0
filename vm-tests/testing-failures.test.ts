import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run as runCommand } from '../src/system/index.ts'
import { OtherProject } from './support/other-project.ts'
import { CHECKOUT, tools } from './support/scene.ts'

const TESTS = `
import { expect, test } from ${JSON.stringify(join(CHECKOUT, 'src/testing/vitest.ts'))}

const kmsg = (line) => ['sh', '-c', \`echo "<4>\${line}" >/dev/kmsg\`]

test('prints something else', async ({ boot }) => {
  await using machine = await boot('minimal')
  await machine.writeFile('/run/mark', 'x')
  await machine.runUnchecked(['false'])
  expect(await machine.run(['echo', 'web-2'])).toPrint('web-1')
})

test('holds, but the kernel complains', async ({ boot }) => {
  await using machine = await boot('minimal')
  await machine.run(kmsg('WARNING: CPU: 0 PID: 1 at kernel/made-up.c:1 nothing+0x0/0x0'))
})

test('holds, and the complaint is allowed', async ({ boot }) => {
  await using machine = await boot('minimal', {
    allowedSymptoms: [{ match: 'kernel/made-up.c', because: 'the test writes it' }],
  })
  await machine.run(kmsg('WARNING: CPU: 0 PID: 1 at kernel/made-up.c:1 nothing+0x0/0x0'))
})

test('holds, but a program crashes and another tells of a bug', async ({ boot }) => {
  await using machine = await boot('cloud')
  await machine.runUnchecked(['sh', '-c', 'ulimit -c unlimited; kill -SEGV $$'])
  const report = '==17==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010'
  await machine.run(['systemd-cat', 'echo', report])
  await expect.poll(async () => (await machine.run(['journalctl', '--identifier=systemd-coredump'])).stdout).toContain('dumped core')
})

test('measures something more', async ({ boot }) => {
  await using machine = await boot('minimal')
  await machine.run(['/usr/lib/systemd/systemd-pcrextend', '--pcr=11', 'surprise'])
  await expect(machine).toMeasureAsPredicted({ withinMs: 0 })
})

let attempts = 0
test('works the second time', () => expect(++attempts).toBe(2))

test('is known to fail', () => expect(1).toBe(2))

test('takes what was chosen', ({ image, cloud, firmware }) => {
  expect([image, cloud, firmware]).toEqual(['minimal', 'aws', 'plain'])
})
`

const QUARANTINE = [
  { test: 'is known to fail', reason: 'a proof', tracker: 'https://example.org/1', until: '9999-12-31' },
]

let project: OtherProject
let run: { exitCode: number; output: string }

beforeAll(async () => {
  const files = {
    'package.json': '{ "type": "module" }',
    'vm-tests/failing.test.js': TESTS,
    'quarantine.json': JSON.stringify(QUARANTINE),
  }
  project = await OtherProject.make(files, ['minimal', 'cloud'])
  await symlink(join(CHECKOUT, 'node_modules'), project.path('node_modules'))
  const options = ['--retries', '1', '--image', 'minimal', '--cloud', 'aws', '--jobs', '1']
  run = await project.run(process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'test', ...options)
})

afterAll(() => project?.[Symbol.asyncDispose]())

/** What was printed about a test, from its first error on. */
function about(name: string): string {
  const start = run.output.indexOf(`FAIL  vm-tests/failing.test.js > ${name}`)
  return start < 0 ? '' : run.output.slice(start, run.output.indexOf('⎯⎯⎯⎯', start))
}

/** Without what differs from run to run. */
const steady = (text: string) =>
  text.replaceAll(/ *\d+ ms {2}/g, '  N ms  ').replaceAll(/\d{8}T\d{6}Z-[0-9a-f]{4}/g, 'RUN')

describe('bootwright test', () => {
  it('ends with the counts', () => {
    expect(run.output.trimEnd().split('\n').at(-1)).toBe('3 passed, 4 failed, 1 skipped')
    expect(run.exitCode).toBe(1)
  })

  it('names what was flaky, and what is in quarantine', () => {
    expect(run.output).toContain(
      '1 flaky: passed, but not at once:\n  vm-tests/failing.test.js: works the second time (attempt 2)',
    )
    expect(run.output).toContain(
      'vm-tests/failing.test.js: is known to fail (until 9999-12-31: a proof, https://example.org/1)',
    )
  })

  it('tells with each failure what was tried, what the console said, and where the evidence is', () => {
    const text = steady(about('prints something else'))
    expect(text).toContain('found     "web-2"')
    expect(text).toMatch(/What was tried, in order:\n {2}N ms {2}boot +minimal {2}ok/)
    expect(text).toMatch(/N ms {2}writeFile +\/run\/mark x {2}ok\n {2}N ms {2}runUnchecked +false {2}ok\n/)
    expect(text).toMatch(/The end of its console:\n {2}.*\S/)
    expect(text).toContain('Evidence: out/runs/RUN/vm-tests-failing.test.js-prints-something-else')
  })

  it('keeps the evidence of what failed, and of nothing else', async () => {
    const evidence = await project.evidence()
    const directories = new Set(evidence.map((name) => name.split('/')[0]))
    expect([...directories].sort()).toEqual([
      'vm-tests-failing.test.js-holds-but-a-program-crashes-and-another-tells-of-a-bug',
      'vm-tests-failing.test.js-holds-but-a-program-crashes-and-another-tells-of-a-bug-attempt-2',
      'vm-tests-failing.test.js-holds-but-the-kernel-complains',
      'vm-tests-failing.test.js-holds-but-the-kernel-complains-attempt-2',
      'vm-tests-failing.test.js-measures-something-more',
      'vm-tests-failing.test.js-measures-something-more-attempt-2',
      'vm-tests-failing.test.js-prints-something-else',
      'vm-tests-failing.test.js-prints-something-else-attempt-2',
    ])
    const prefix = 'vm-tests-failing.test.js-prints-something-else/'
    const files = evidence.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
    expect(files).toEqual(
      expect.arrayContaining([
        'calls.txt',
        'console.log',
        'dnsmasq.log',
        'event-log.bin',
        'journal.journal',
        'machine.json',
        'pcrs.json',
        'qmp.log',
      ]),
    )
    const journal = ['journalctl', `--file=${await project.evidencePath(`${prefix}journal.journal`)}`, '--output=cat']
    expect((await runCommand((await tools()).command(journal))).stdout).toMatch(/^Linux version /m)
    expect(await project.readEvidence(`${prefix}console.log`)).toContain('Welcome to')
    expect(JSON.parse(await project.readEvidence(`${prefix}pcrs.json`))).toHaveProperty('sha256.11')
  })

  it('fails a test whose guest shows a symptom, unless it is allowed', () => {
    const text = about('holds, but the kernel complains')
    expect(text).toContain(
      'The assertions held, but the guest showed a symptom: WARNING: CPU: 0 PID: 1 at kernel/made-up.c:1',
    )
    expect(about('holds, and the complaint is allowed')).toBe('')
  })

  it('fails a test whose guest dumped a core or printed the report of a sanitizer, and keeps the core and its stack', async () => {
    const text = about('holds, but a program crashes and another tells of a bug')
    expect(text).toMatch(/coredump: Process \d+ \(sh\) of user 0 (?:terminated abnormally|dumped core)/)
    expect(text).toContain('sanitizer: ==17==ERROR: AddressSanitizer: heap-use-after-free')
    const directory = 'vm-tests-failing.test.js-holds-but-a-program-crashes-and-another-tells-of-a-bug/'
    const cores = (await project.evidence()).filter((name) => name.startsWith(`${directory}core.sh.`))
    expect(cores).toHaveLength(1)
    expect(await project.readEvidence(`${directory}coredumps.txt`)).toMatch(
      /Stack trace of thread \d+:\n\s+#0 +0x[0-9a-f]+/,
    )
  })

  it('tells what was measured instead', () => {
    const text = about('measures something more')
    expect(text).toContain('PCR 11 unexpected: word "surprise": measured, but not predicted; sha256 ')
  })
})
