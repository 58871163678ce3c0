import { describe, expect, it } from 'vitest'
import { parseHttpUrl, parseRedirect } from './target.ts'

describe('parseHttpUrl()', () => {
  it.for([
    ['http://192.0.2.1', '192.0.2.1', 80, '/', '192.0.2.1'],
    ['http://192.0.2.1:8080/latest/x y', undefined],
    ['http://192.0.2.1:8080/a?b=c#d', '192.0.2.1', 8080, '/a?b=c', '192.0.2.1:8080'],
    ['http://192.0.2.1?b', '192.0.2.1', 80, '/?b', '192.0.2.1'],
    ['http://192.0.2.1#b', '192.0.2.1', 80, '/', '192.0.2.1'],
    ['HTTP://metadata.example./a', 'metadata.example.', 80, '/a', 'metadata.example.'],
    ['https://metadata.example/a', 'metadata.example', 443, '/a', 'metadata.example'],
    ['https://metadata.example:80/a', 'metadata.example', 80, '/a', 'metadata.example:80'],
    ['http://[fd00:ec2::254]:80/a', 'fd00:ec2::254', 80, '/a', '[fd00:ec2::254]'],
    ['http://[fe80::a9fe:a9fe%25eth0]/a', 'fe80::a9fe:a9fe', 80, '/a', '[fe80::a9fe:a9fe]'],
    // As they stand, but for dots.
    ['http://a/b[1]{2}"<>|\\^`%2f//c', 'a', 80, '/b[1]{2}"<>|\\^`%2f//c', 'a'],
    ['http://a/a/../b/./c', 'a', 80, '/b/c', 'a'],
    ['http://a/../../b/..', 'a', 80, '/', 'a'],
    ['http://a/b/%2E%2e/.?x=/../y', 'a', 80, '/?x=/../y', 'a'],
    ['http://user:password@192.0.2.1/', undefined],
    ['http://192.0.2.1:0/', undefined],
    ['http://192.0.2.1:65536/', undefined],
    ['http://192.0.2/', undefined],
    ['http://[192.0.2.1]/', undefined],
    ['http:///a', undefined],
    ['http://a/\u00e4', undefined],
    ['http://a/\r\nHost: b', undefined],
    ['ftp://a/', undefined],
    ['', undefined],
  ] as const)('reads %j', ([url, host, port, path, authority]) => {
    const target = parseHttpUrl(url)
    if (host === undefined) expect(target).toBeUndefined()
    else expect(target).toMatchObject({ host, port, path, authority, isSecure: url.startsWith('https') })
  })

  it('keeps the zone of a link-local address', () => {
    expect(parseHttpUrl('http://[fe80::1%25eth0]/')?.zone).toBe('eth0')
    expect(parseHttpUrl('http://[fe80::1%2]/')?.zone).toBe('2')
  })
})

describe('parseRedirect()', () => {
  it.for([
    ['/y', 'http://a:81/y'],
    ['y', 'http://a:81/b/y'],
    ['../y', 'http://a:81/y'],
    ['?z', 'http://a:81/b/c?z'],
    ['//other/y', 'http://other/y'],
    ['http://other/y', 'http://other/y'],
    ['https://other/y', 'https://other/y'],
    ['file:///etc/hostname', undefined],
    ['gopher://a/', undefined],
    ['#f', 'http://a:81/b/c?d=/e'],
    ['/a b', 'http://a:81/a%20b'],
    ['', undefined],
  ] as const)('follows %j', ([location, url]) => {
    const from = parseHttpUrl('http://a:81/b/c?d=/e')
    expect(from && parseRedirect(from, location)).toEqual(url === undefined ? undefined : parseHttpUrl(url))
  })
})
