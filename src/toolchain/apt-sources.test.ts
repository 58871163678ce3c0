import { describe, expect, it } from 'vitest'
import { parseDeb822, parseListFile, parseSourcesFile } from './apt-sources.ts'
import { installedVersions } from './dpkg-status.ts'

describe('parseListFile()', () => {
  it('reads options, several components, and skips the rest', () => {
    const text = [
      '# deb http://commented.example/debian bookworm main',
      'deb [arch=amd64 signed-by=/k/one.gpg,/k/two.gpg check-valid-until=no] http://m.example/debian bookworm main contrib # x',
      'deb-src http://m.example/debian bookworm main',
      'deb http://flat.example/repo ./',
      'deb http://no-suite.example',
      '',
    ].join('\n')
    expect(parseListFile(text)).toEqual([
      {
        uris: ['http://m.example/debian'],
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        keyrings: ['/k/one.gpg', '/k/two.gpg'],
        embeddedKey: undefined,
        checkValidUntil: false,
      },
      {
        uris: ['http://flat.example/repo'],
        suites: ['./'],
        components: [],
        keyrings: [],
        embeddedKey: undefined,
        checkValidUntil: undefined,
      },
    ])
  })
})

describe('parseSourcesFile()', () => {
  it('reads stanzas and skips those that are disabled or of sources only', () => {
    const text = [
      'Types: deb deb-src',
      '# a comment in between',
      'URIs: http://a.example/debian http://b.example/debian',
      'Suites: trixie trixie-updates',
      'Components: main',
      'Signed-By: /k/debian-archive-keyring.gpg',
      '',
      'Enabled: no',
      'Types: deb',
      'URIs: http://off.example/debian',
      '',
      'Types: deb-src',
      'URIs: http://src.example/debian',
    ].join('\n')
    const [source, ...others] = parseSourcesFile(text)
    expect(others).toEqual([])
    expect(source?.uris).toEqual(['http://a.example/debian', 'http://b.example/debian'])
    expect(source?.suites).toEqual(['trixie', 'trixie-updates'])
    expect(source?.keyrings).toEqual(['/k/debian-archive-keyring.gpg'])
  })

  it('restores a key that stands in the source', () => {
    const text = [
      'Types: deb',
      'URIs: http://a.example/debian',
      'Suites: trixie',
      'Components: main',
      'Signed-By:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      ' mQINBF',
      ' -----END PGP PUBLIC KEY BLOCK-----',
    ].join('\n')
    expect(parseSourcesFile(text)[0]?.embeddedKey).toBe(
      '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF\n-----END PGP PUBLIC KEY BLOCK-----\n',
    )
  })
})

describe('parseDeb822()', () => {
  it('survives continuation lines without a field, and lines without a colon', () => {
    expect(parseDeb822(' lost\nnonsense\nA: 1\n\n\n\nB: 2')).toEqual([new Map([['a', '1']]), new Map([['b', '2']])])
  })
})

describe('installedVersions()', () => {
  it('counts only what is installed', () => {
    const status = [
      'Package: swtpm\nStatus: install ok installed\nVersion: 0.10.2-2',
      'Package: gone\nStatus: deinstall ok config-files\nVersion: 1',
    ].join('\n\n')
    expect([...installedVersions(status)]).toEqual([['swtpm', '0.10.2-2']])
  })
})
