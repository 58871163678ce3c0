import { expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { yaml } from './yaml.ts'

it('writes nested collections in block style', () => {
  const value = {
    version: 1,
    config: [{ type: 'physical', subnets: [{ ipv4: true }, []] }, 'x'],
    empty: {},
    none: null,
  }
  expect(yaml(value)).toBe(
    [
      'version: 1',
      'config:',
      '- type: physical',
      '  subnets:',
      '  - ipv4: true',
      '  - []',
      '- x',
      'empty: {}',
      'none: null',
      '',
    ].join('\n'),
  )
})

it.for([
  'yes',
  'NO',
  '1',
  '1.5',
  '~',
  '',
  'a: b',
  '- a',
  '#',
  'a\nb',
  '2001:db8::1',
  '0x10',
  "it's",
  '"',
  'ä',
  '12:30:00',
])('keeps %j text, in quotes', (text) => {
  expect(yaml({ text })).toBe(`text: ${JSON.stringify(text)}\n`)
})

const hasReader = await run({ argv: ['python3', '-c', 'import yaml'] }).then(
  () => true,
  () => false,
)

it.skipIf(!hasReader)('is read as what it was by somebody else', async () => {
  const value = {
    hostname: 'bootwright',
    'public-keys': ['ssh-ed25519 AAAA+/== a b', 'x'],
    list: [[], [1, [2]], { a: [{ b: 'c d' }] }],
    odd: ['no', '1e3', ': ', '{', 'line\nline', '2026-01-01'],
  }
  const { stdout } = await run(
    { argv: ['python3', '-c', 'import sys, yaml, json; print(json.dumps(yaml.safe_load(sys.stdin)))'] },
    { input: yaml(value) },
  )
  expect(JSON.parse(stdout)).toEqual(value)
})
