import { describe, expect, it } from 'vitest'
import { isTransferEnabled, parseOption } from './parse-option.ts'
import { parseTransfer } from './parse-transfer.ts'
import type { DefinitionProblem, Transfer } from './types.ts'

const SPECIFIERS: Readonly<Record<string, string>> = { A: '2', a: 'x86-64', M: 'img' }
const context = {
  specifiers: (letter: string) => SPECIFIERS[letter],
  architecture: 'x86-64',
  transferSource: undefined,
}

interface Lines {
  readonly transfer?: readonly string[]
  readonly source?: readonly string[]
  readonly target?: readonly string[]
}

function read(lines: Lines): { transfer: Transfer; warnings: string[] } {
  const text = [
    ...['[Transfer]', ...(lines.transfer ?? [])],
    ...['[Source]', 'Type=regular-file', 'Path=/src', 'MatchPattern=a_@v.raw', ...(lines.source ?? [])],
    ...['[Target]', 'Path=/dst', 'MatchPattern=b_@v', ...(lines.target ?? [])],
  ]
  const problems: DefinitionProblem[] = []
  const transfer = parseTransfer('t', [{ path: '/t', bytes: Buffer.from(text.join('\n')) }], context, problems)
  return { transfer, warnings: problems.map((problem) => problem.text) }
}

describe('parseTransfer()', () => {
  it('reads every key', () => {
    const { transfer, warnings } = read({
      transfer: [
        ...['MinVersion=1', 'ProtectVersion=%A', 'ProtectVersion=3', 'Verify=no', 'ChangeLog=https://a/@v'],
        ...['AppStream=http://b', 'Features=one "two three"', 'Features=one four', 'RequisiteFeatures=five'],
      ],
      source: ['MatchPattern=%M_@v_%a.raw **/x_@v', 'PathRelativeTo=esp'],
      target: [
        ...['Type=partition', 'Path=auto', 'MatchPartitionType=usr-verity', 'PartitionFlags=0x10', 'ReadOnly=yes'],
        ...['PartitionUUID=0b4f1ea05f0b4c4d9a44bb0ee1a2a4a1', 'PartitionNoAuto=1', 'PartitionGrowFileSystem=0'],
        ...['Mode=0640', 'TriesLeft=5', 'TriesDone=1', 'InstancesMax=4', 'RemoveTemporary=no', 'CurrentSymlink=cur'],
      ],
    })
    expect(warnings).toEqual([])
    expect(transfer).toMatchObject({
      id: 't',
      minVersion: '1',
      protectVersions: ['2', '3'],
      isVerified: false,
      changeLog: ['https://a/@v'],
      appStream: ['http://b'],
      features: ['one', 'two three', 'four'],
      requisiteFeatures: ['five'],
      source: {
        pathRelativeTo: 'esp',
        patterns: [{ text: 'a_@v.raw' }, { text: 'img_@v_x86-64.raw' }, { text: '**/x_@v', isAnyDepth: true }],
      },
      target: { type: 'partition', path: 'auto', partitionType: '77ff5f63-e7b6-4633-acf4-1565b864c0e6' },
      partitionUuid: '0b4f1ea0-5f0b-4c4d-9a44-bb0ee1a2a4a1',
      partitionFlags: 16n,
      partitionNoAuto: true,
      partitionGrowFileSystem: false,
      readOnly: true,
      mode: 0o640,
      triesLeft: 5n,
      triesDone: 1n,
      instancesMax: 4,
      removesTemporary: false,
      currentSymlink: 'cur',
    })
  })

  it.for([
    [{ transfer: ['MinVersion=a b'] }, 'MinVersion= string is not valid, ignoring: a b'],
    [{ transfer: ['MinVersion=%z'] }, 'Failed to expand specifiers in MinVersion=, ignoring: %z'],
    [{ transfer: ['ProtectVersion=1 2'] }, 'ProtectVersion= string is not valid, ignoring: 1 2'],
    [{ transfer: ['Verify='] }, 'Failed to parse Verify=, ignoring: Invalid argument'],
    [{ transfer: ['ChangeLog=ftp://x'] }, 'ChangeLog= URL is not valid, ignoring: ftp://x'],
    [{ transfer: ['Foo=bar'] }, "Unknown key 'Foo' in section [Transfer], ignoring."],
    [{ source: ['Type=foo'] }, 'Failed to parse Type=foo, ignoring: Invalid argument'],
    [{ source: ['PathRelativeTo=foo'] }, 'Failed to parse PathRelativeTo=foo, ignoring: Invalid argument'],
    [{ target: ['MatchPartitionType=foo'] }, 'Failed to parse partition type, ignoring: foo'],
    [{ target: ['PartitionUUID=foo'] }, 'Failed to parse partition UUID, ignoring: foo'],
    [{ target: ['PartitionFlags=0xzz'] }, 'Failed to parse partition flags, ignoring: 0xzz'],
    [{ target: ['Mode=999'] }, 'Failed to parse Mode=999, ignoring: Invalid argument'],
    [{ target: ['Mode=77777'] }, 'Failed to parse Mode=77777, ignoring: Numerical result out of range'],
    [{ target: ['TriesDone=-1'] }, 'Failed to parse TriesDone=-1, ignoring: Numerical result out of range'],
    [{ target: ['InstancesMax=1'] }, 'InstancesMax= value must be at least 2, bumping: 1'],
    [{ target: ['InstancesMax=x'] }, 'Failed to parse InstancesMax= value, ignoring: x'],
    [{ target: ['CurrentSymlink=../x'] }, 'CurrentSymlink= path is not normalized, ignoring: ../x'],
    [
      { target: ['MatchPattern='] },
      'Target specification lacks MatchPattern= expression. Assuming same value as in source specification.',
    ],
  ] as const)('passes over %j', ([lines, warning]) => {
    expect(read(lines).warnings).toEqual([warning])
  })

  it.for([
    [{ source: ['MatchPattern=a_@v@u'] }, '/t:6: MatchPattern= string is not valid, refusing: a_@v@u'],
    [{ source: ['MatchPattern='] }, '/t:1: Source specification lacks MatchPattern=.'],
    [{ source: ['Path=rel'] }, '/t:1: Source path is not a normalized, absolute path: rel'],
    [{ source: ['Type=url-file', 'Path=ftp://x'] }, '/t:1: Source path is not a valid HTTP or HTTPS URL: ftp://x'],
    [
      { source: ['PathRelativeTo=explicit'] },
      '/t:1: PathRelativeTo=explicit requires --transfer-source= to be specified.',
    ],
    [
      { target: ['PathRelativeTo=explicit'] },
      '/t:1: PathRelativeTo=explicit can only be used in source specifications.',
    ],
    [{ target: ['Path=/a/../b'] }, '/t:1: Target path is not a normalized, absolute path: /a/../b'],
    [
      { target: ['MatchPattern=**/a_@v'] },
      "/t:9: '**/' prefix is only supported in a source MatchPattern=, refusing: **/a_@v",
    ],
    [
      { target: ['Type=directory'] },
      "/t:1: Target type 'directory' is incompatible with source type 'regular-file', refusing.",
    ],
    [{ target: ['[Target'] }, "/t:9: Invalid section header '[Target'"],
  ] as const)('refuses %j', ([lines, message]) => {
    expect(() => read(lines)).toThrowError(expect.objectContaining({ code: 'MALFORMED_INPUT', message }))
  })

  it('takes the type of the target from the source and the path', () => {
    const type = (lines: Lines) => read(lines).transfer.target.type
    expect(type({})).toBe('regular-file')
    expect(type({ target: ['Path=/dev/sda'] })).toBe('partition')
    expect(type({ source: ['Type=tar'] })).toBe('directory')
    expect(type({ source: ['Type=subvolume'] })).toBe('subvolume')
  })
})

describe('parseOption()', () => {
  const option = (kind: 'feature' | 'component', ...lines: string[]) => {
    const problems: DefinitionProblem[] = []
    const section = kind === 'feature' ? '[Feature]' : '[Component]'
    const bytes = Buffer.from([section, ...lines].join('\n'))
    return { ...parseOption(kind, 'x', [{ path: '/x', bytes }], problems), problems }
  }

  it('reads every key', () => {
    expect(
      option(
        'feature',
        ...['Description=A b', 'Documentation=http://a', 'Documentation=http://b c', 'AppStream=http://c'],
        ...['Enabled=yes', 'Suggest=no', 'SuggestOnHost=|!x', 'SuggestOnOSRelease=ID=a'],
      ),
    ).toMatchObject({
      problems: [],
      description: 'A b',
      documentation: ['http://a', 'http://b c'],
      appStream: 'http://c',
      isEnabled: true,
      suggest: false,
      suggestOn: [
        { subject: 'Host', isTrigger: true, isNegated: true, parameter: 'x' },
        { subject: 'OSRelease', isTrigger: false, isNegated: false, parameter: 'ID=a' },
      ],
    })
    expect(option('component', 'AppStream=http://c')).toMatchObject({ isEnabled: true, problems: [{ line: 2 }] })
  })

  it('makes a transfer depend on any of its features and on all that it requires', () => {
    const features = new Map(['on', 'off'].map((id) => [id, { ...option('feature'), id, isEnabled: id === 'on' }]))
    const isOn = (of: string[], requisite: string[] = []) =>
      isTransferEnabled({ features: of, requisiteFeatures: requisite }, features)
    expect([isOn([]), isOn(['off', 'on']), isOn(['off']), isOn(['none'])]).toEqual([true, true, false, false])
    expect([isOn([], ['on']), isOn(['on'], ['on', 'off']), isOn([], ['none'])]).toEqual([true, false, false])
  })
})
