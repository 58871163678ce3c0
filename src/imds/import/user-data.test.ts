import { describe, expect, it } from 'vitest'
import { decodeBase64, isCredentialName, parseUserData } from './user-data.ts'

const parse = (text: string) => parseUserData(Buffer.from(text))
const entries = (...all: unknown[]) => {
  const parsed = parse(JSON.stringify({ 'systemd.credentials': all }))
  if (parsed.kind !== 'credentials') throw new Error(parsed.kind)
  return parsed.entries.map((entry) =>
    'problem' in entry
      ? 'refused'
      : `${entry.name}=${Buffer.from(entry.content)}${entry.isEncrypted ? ' encrypted' : ''}`,
  )
}
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('parseUserData()', () => {
  const ONE = '{"systemd.credentials":[{"name":"a","text":"t"}],"other":1}'

  it.for([
    ['JSON', ONE, 'credentials'],
    ['JSON behind white space', ` \n\t\r${ONE.replace('{', '{ \n')}`, 'credentials'],
    ['JSON behind the mark', `#systemd-userdata\n${ONE}`, 'credentials'],
    ['an empty object', '{}', 'credentials'],
    ['an object without credentials', '{"a":1}', 'credentials'],
    ['the mark and another line end', `#systemd-userdata\r\n${ONE}`, 'foreign'],
    ['the mark behind white space', ` #systemd-userdata\n${ONE}`, 'foreign'],
    ['what was packed with gzip', '\x1f\x8b\x08', 'foreign'],
    ['cloud-config', '#cloud-config\n', 'foreign'],
    ['a script', '#!/bin/sh\n', 'foreign'],
    ['MIME', 'Content-Type: multipart/mixed', 'foreign'],
    ['an array', '[]', 'foreign'],
    ['a template', '{% if x %}', 'foreign'],
    ['JSON that is cut', ONE.slice(0, -1), 'foreign'],
    ['a NUL byte', `${ONE}\0`, 'foreign'],
    ['nothing', '', 'foreign'],
    ['the mark and an array', '#systemd-userdata\n[]', 'broken'],
    ['credentials that are no array', '{"systemd.credentials":{}}', 'broken'],
    ['credentials that are null', '{"systemd.credentials":null}', 'broken'],
  ] as const)('takes %s', ([, text, kind]) => {
    expect(parse(text).kind).toBe(kind)
  })

  it('leaves bytes that are no UTF-8 to others', () => {
    expect(parseUserData(Buffer.from('{"a":"\xff"}', 'latin1')).kind).toBe('foreign')
  })

  it('survives deep nesting', () => {
    expect(parse(`{"a":${'['.repeat(200_000)}`).kind).toBe('foreign')
  })

  it('reads credentials, and tells those apart that are none', () => {
    expect(
      entries(
        { name: 'a', text: 't' },
        { name: 'b', data: base64('d') },
        { name: 'c', encrypted: base64('e') },
        { name: 'd', text: '' },
        { name: 'a', text: 'again' },
        { name: 'f', data: 'ZA ==\n' },
      ),
    ).toEqual(['a=t', 'b=d', 'c=e encrypted', 'd=', 'a=again', 'f=d'])
  })

  it.for([
    [{ name: '../x', text: 't' }],
    [{ name: 'a/b', text: 't' }],
    [{ name: '..', text: 't' }],
    [{ name: '', text: 't' }],
    [{ name: 'a\0', text: 't' }],
    [{ name: 'a\n', text: 't' }],
    [{ name: 'x'.repeat(256), text: 't' }],
    [{ name: 'x'.repeat(4096), text: 't' }],
    [{ name: '\ud800', text: 't' }],
    [{ name: 1, text: 't' }],
    [{ text: 't' }],
    [{ name: 'a' }],
    [{ name: 'a', data: '' }],
    [{ name: 'a', encrypted: '' }],
    [{ name: 'a', text: 't', data: 'ZA==' }],
    [{ name: 'a', data: 'ZA==', encrypted: 'ZA==' }],
    [{ name: 'a', data: '!!' }],
    [{ name: 'a', data: 'ZA=' }],
    [{ name: 'a', data: 1 }],
    [{ name: 'a', text: 1 }],
    [{ name: 'a', text: null }],
    [{ name: 'a', text: '\ud800' }],
    [{ name: 'a', text: 't', other: 1 }],
    [[]],
    ['a'],
    [null],
  ] as const)('refuses %j, and nothing but that', ([entry]) => {
    expect(entries({ name: 'before', text: '1' }, entry, { name: 'behind', text: '2' })).toEqual([
      'before=1',
      'refused',
      'behind=2',
    ])
  })
})

describe('isCredentialName()', () => {
  it('takes names of files, as long as they may be', () => {
    expect(isCredentialName('x'.repeat(255))).toBe(true)
    expect(isCredentialName('firstboot.hostname')).toBe(true)
    expect(isCredentialName('ä'.repeat(128))).toBe(false)
  })
})

describe('decodeBase64()', () => {
  it.for([
    ['', ''],
    ['ZA==', 'd'],
    ['Z A\n==', 'd'],
    ['ZA', undefined],
    ['Z===', undefined],
    ['ZA==ZA==', undefined],
    ['Z_-=', undefined],
  ] as const)('decodes %j', ([encoded, decoded]) => {
    expect(decodeBase64(encoded)?.toString()).toBe(decoded)
  })
})
