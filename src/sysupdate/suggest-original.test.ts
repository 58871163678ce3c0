import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../formats/index.ts'
import { run, runUnchecked } from '../system/index.ts'
import { readyToolchain, type Toolchain } from '../toolchain/index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const GENERATED = 160

const NAMED: readonly (readonly [string, string])[] = [
  ...['native', 'x86-64', 'arm64', 'none'].map((value) => ['Architecture', value] as const),
  ...[
    ...['yes', 'no', 'true', 'vm', 'container', 'private-users', 'kvm', 'qemu', 'docker', 'none', 'bogus', ''],
    ...['!vm', '|container'],
  ].map((value) => ['Virtualization', value] as const),
  ...[
    ...['selinux', 'smack', 'apparmor', 'audit', 'ima', 'tomoyo', 'uefi-secureboot', 'tpm2', 'cvm', 'measured-uki'],
    ...['bogus', '!bogus', 'toString'],
  ].map((value) => ['Security', value] as const),
  ...['here', 'sealed', 'absent', '../here', 'he:re', '!absent', 'link', '.', 'x'.repeat(256)].map(
    (value) => ['Credential', value] as const,
  ),
  ...['uefi', 'device-tree', 'device-tree-compatible(x)', 'smbios-field(', 'smbios-field(x)', 'bogus'].map(
    (value) => ['Firmware', value] as const,
  ),
  ...[
    ...[
      'product_name $= *',
      'product_name=',
      'nothing = x',
      'product_name = a b',
      'a/b = c',
      ' = c',
      'sys_vendor<>"x y"',
    ],
    ...['product_name !$= [a]', 'nothing !=x'],
  ].map((value) => ['Firmware', `smbios-field(${value})`] as const),
  ...[hostname(), hostname().toUpperCase(), '*', 'absent', '[[:alnum:]]*', '\\*'].map(
    (value) => ['Host', value] as const,
  ),
  ...[
    ...['>= 5', '>=5', '"> 5"', "'>= 5' '<99'", '>=5 < 99', '> 5 < ', '<', '$=', '"', 'systemd', 'systemd >= 262'],
    ...[
      'systemd=262',
      'systemd == 262',
      'systemd==262.0',
      'systemd>262',
      'glibc > 2',
      'glibc!=x',
      'kernel',
      'kernel>=1',
    ],
    ...[
      'bogus > 1',
      release(),
      `=${release()}`,
      `!=${release()}`,
      `==${release()}`,
      '*',
      '[0-9]*',
      '\\[*',
      '6\\.*',
      'x\\',
    ],
    ...['<>5', '=> 5', '!5', '!!= 5', 'systemd >= "262"', 'systemd ">= 262"', '=~5', 'lt 5'],
  ].map((value) => ['Version', value] as const),
  ...[
    ...[
      'ID=debian',
      'ID="debian"',
      "'ID=debian' VERSION_ID>=1",
      'ID!=debian',
      'ID$=d*n',
      'ID!$=d*n',
      'ID==debian',
      'NONE=',
    ],
    ...[
      'NONE=x',
      'NONE!=x',
      'ID',
      'ID=',
      'ID= debian',
      '=debian',
      '1D=x',
      'I-D=x',
      'ID=deb"ian"',
      'ID="debian',
      'ID<>x',
    ],
    ...['ID=debian ID=fedora', 'ID=debian VERSION_CODENAME!=x', 'ID=\\debian', '"ID= debian"'],
  ].map((value) => ['OSRelease', value] as const),
]

/** Expressions of the pieces that there are, right and wrong. */
function generated(): (readonly [string, string])[] {
  const random = seededRandom(41)
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const operators = ['$=', '!$=', '<>', '<=', '>=', '<', '>', '==', '=', '!=', '', '!', '=$']
  const values = [release(), '262', '5', '99~1', '6*', '?*', '[!x]*', 'debian', '"a b"', "'5'", '', '\\*', '13']
  const expression = (head: string): string =>
    `${head}${one(['', '', ' '])}${one(operators)}${one(['', ' '])}${one(values)}`
  return Array.from({ length: GENERATED }, () => {
    const count = one([1, 1, 1, 2, 3])
    const subject = one(['Version', 'OSRelease'])
    const parts = Array.from({ length: count }, (_, index) => {
      if (subject === 'OSRelease') return expression(one(['ID', 'VERSION_ID', 'NONE', 'NAME', '1']))
      return expression(index === 0 ? one(['', 'systemd', 'glibc', 'kernel', 'bogus']) : '')
    })
    return [subject, `${one(['', '', '!', '|'])}${parts.join(' ')}`] as const
  })
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-suggest-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe.skipIf(toolchain === undefined)('suggestion() (needs the tools: ./bootwright setup)', () => {
  it('judges conditions as the original does', async () => {
    const conditions = [...NAMED, ...generated()]
    const [definitions, credentials, sealed] = ['definitions', 'credentials', 'sealed'].map((name) => {
      mkdirSync(join(directory, name))
      return join(directory, name)
    }) as [string, string, string]
    writeFileSync(join(credentials, 'here'), '')
    writeFileSync(join(sealed, 'sealed'), '')
    const transfer = `Type=regular-file\nPath=${directory}\nMatchPattern=x_@v\n`
    writeFileSync(join(definitions, 'x.transfer'), `[Source]\n${transfer}[Target]\n${transfer}`)
    for (const [index, [subject, value]] of conditions.entries()) {
      writeFileSync(join(definitions, `f${index}.feature`), `[Feature]\nSuggestOn${subject}=${value}\n`)
    }
    const env = { CREDENTIALS_DIRECTORY: credentials, ENCRYPTED_CREDENTIALS_DIRECTORY: sealed, LC_ALL: 'C' }
    const script =
      'i=0; while [ $i -lt $2 ]; do' +
      ' /usr/lib/systemd/systemd-sysupdate --definitions="$1" features f$i 2>/dev/null | grep -m 1 Suggested || echo none;' +
      ' i=$((i + 1)); done'
    const argv = ['sh', '-c', script, 'sh', definitions, String(conditions.length)]
    const { stdout } = await run(toolchain.command(argv, { env }), { timeoutMs: 120_000 })
    const theirs = stdout.trimEnd().split('\n')
    const ours = await runUnchecked(
      toolchain.command([process.execPath, join(import.meta.dirname, 'suggest.test-support.ts')], { env }),
      { input: JSON.stringify(conditions) },
    )
    const words = (JSON.parse(ours.stdout) as unknown[]).map((answer) => {
      if (typeof answer === 'boolean') return answer ? 'yes' : 'no'
      return `error (${answer})`
    })
    const shown = (answers: readonly string[]) => conditions.map((condition, index) => [...condition, answers[index]])
    expect(shown(words)).toEqual(shown(theirs.map((line) => line.replace(/^ *Suggested: /, '').trimEnd())))
    // Else nothing was tried but refusals.
    for (const word of ['yes', 'no', 'error (Invalid argument)']) {
      expect(words.filter((one) => one === word).length).toBeGreaterThan(20)
    }
  }, 180_000)
})
