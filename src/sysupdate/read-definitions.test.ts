import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hostSpecifiers, systemArchitecture } from './host-specifiers.ts'
import { findComponents, readDefinitions } from './read-definitions.ts'
import { resolveBelow } from './root-path.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bootwright-definitions-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function file(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

const transfer = (minVersion: string) =>
  `[Transfer]\nMinVersion=${minVersion}\n[Source]\nType=tar\nPath=/s\nMatchPattern=a_@v\n[Target]\nPath=/t\nMatchPattern=a_@v\n`

const read = (component?: string, directory?: string) =>
  readDefinitions(
    { root, directory, component },
    { specifiers: hostSpecifiers(root), architecture: systemArchitecture(), transferSource: undefined },
  )
const versions = (component?: string, directory?: string) =>
  read(component, directory).transfers.map(({ id, minVersion }) => `${id}:${minVersion}`)

describe('readDefinitions()', () => {
  it('takes each name where it counts most, in the order of names', () => {
    file('usr/lib/sysupdate.d/20-b.transfer', transfer('lib'))
    file('usr/local/lib/sysupdate.d/20-b.transfer', transfer('local'))
    file('run/sysupdate.d/20-b.transfer', transfer('run'))
    file('usr/lib/sysupdate.d/10-a.transfer', transfer('lib'))
    file('usr/lib/sysupdate.d/.hidden.transfer', transfer('no'))
    file('usr/lib/sysupdate.d/30-c.conf', transfer('no'))
    expect(versions()).toEqual(['10-a:lib', '20-b:run'])
    file('etc/sysupdate.d/20-b.transfer', transfer('etc'))
    expect(versions()).toEqual(['10-a:lib', '20-b:etc'])
  })

  it('reads drop-ins of all places in the order of their names', () => {
    file('usr/lib/sysupdate.d/a.transfer', transfer('main'))
    file('etc/sysupdate.d/a.transfer.d/10.conf', '[Transfer]\nMinVersion=ten')
    file('usr/lib/sysupdate.d/a.transfer.d/20.conf', '[Transfer]\nMinVersion=twenty')
    expect(versions()).toEqual(['a:twenty'])
    file('run/sysupdate.d/a.transfer.d/20.conf', '[Transfer]\nMinVersion=')
    expect(versions()).toEqual(['a:undefined'])
  })

  it('leaves out what a link to /dev/null or an empty file masks', () => {
    file('usr/lib/sysupdate.d/a.transfer', transfer('1'))
    file('usr/lib/sysupdate.d/b.transfer', transfer('1'))
    file('etc/sysupdate.d/a.transfer', '')
    symlinkSync('/dev/null', join(root, 'etc/sysupdate.d/b.transfer'))
    expect(versions()).toEqual([])
  })

  it('falls back to .conf, follows links inside the root only, and has the root in specifiers', () => {
    file('usr/lib/os-release', 'IMAGE_VERSION=7\n')
    file('usr/share/a', transfer('%A'))
    mkdirSync(join(root, 'usr/lib/sysupdate.d'))
    symlinkSync('/usr/share/a', join(root, 'usr/lib/sysupdate.d/a.conf'))
    expect(read()).toMatchObject({ isOldSuffix: true, transfers: [{ id: 'a', minVersion: '7' }] })
    symlinkSync('../../../../../../../../../../usr/share/a', join(root, 'usr/lib/sysupdate.d/b.conf'))
    expect(versions()).toEqual(['a:7', 'b:7'])
  })

  it('reads one directory, and components with what they say of themselves', () => {
    file('elsewhere/a.transfer', transfer('1'))
    file('usr/lib/sysupdate.foo.d/b.transfer', `${transfer('2')}[Transfer]\nFeatures=f\n`)
    file('usr/lib/sysupdate.foo.d/f.feature', '[Feature]\nEnabled=no\n')
    file('usr/lib/sysupdate.foo.component', '[Component]\nDescription=Foo\n')
    file('etc/sysupdate.foo.component.d/50.conf', '[Component]\nEnabled=no\n')
    expect(versions(undefined, '/elsewhere')).toEqual(['a:1'])
    expect(read('foo')).toMatchObject({
      transfers: [{ id: 'b', isEnabled: false }],
      component: { id: 'foo', description: 'Foo', isEnabled: false },
    })
    file('etc/sysupdate.foo.d/f.feature.d/50.conf', '[Feature]\nEnabled=yes\n')
    expect(read('foo').transfers).toMatchObject([{ isEnabled: true }])
  })
})

describe('findComponents()', () => {
  it('finds directories, and the default component by its transfers', () => {
    expect(findComponents(root)).toEqual({ hasDefault: false, names: [] })
    for (const name of ['b', 'a', 'x.component']) mkdirSync(join(root, `run/sysupdate.${name}.d`), { recursive: true })
    file('etc/sysupdate.file.d', '')
    mkdirSync(join(root, 'usr/lib/sysupdate.d'), { recursive: true })
    expect(findComponents(root)).toEqual({ hasDefault: false, names: ['a', 'b'] })
    file('usr/lib/sysupdate.d/a.transfer', transfer('1'))
    expect(findComponents(root)).toMatchObject({ hasDefault: true })
  })
})

describe('resolveBelow()', () => {
  it('never leaves the root, and ends on links that go round', () => {
    mkdirSync(join(root, 'a'))
    symlinkSync('/etc', join(root, 'a/abs'))
    symlinkSync('../../../etc', join(root, 'a/up'))
    symlinkSync('round', join(root, 'round'))
    expect(resolveBelow(root, '/a/abs/x')).toBe(`${root}/etc/x`)
    expect(resolveBelow(root, '/a/up')).toBe(`${root}/etc`)
    expect(resolveBelow(root, '/a/../../../b')).toBe(`${root}/b`)
    expect(resolveBelow('/', '/proc/version')).toBe('/proc/version')
    expect(() => resolveBelow(root, '/round')).toThrowError(/more than 40 links/)
    expect(() => resolveBelow(root, '/a/up/x', { links: 'prohibited' })).toThrowError(/symbolic link/)
  })
})
