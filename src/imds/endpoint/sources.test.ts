import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hostSources, udevProperties } from './host-sources.ts'
import { chooseEndpoint, type EndpointSources } from './sources.ts'

const NOTHING: EndpointSources = {
  commandLine: undefined,
  environment: {},
  kernelCommandLine: '',
  isInitrd: false,
  credential: () => undefined,
  udevProperties: new Map(),
  compat: false,
}
const choose = (sources: Partial<EndpointSources>) => chooseEndpoint({ ...NOTHING, ...sources })
const credentials = (all: Record<string, string>) => ({ credential: (name: string) => all[name] })
const udev = (all: Record<string, string>) => ({ udevProperties: new Map(Object.entries(all)) })

describe('chooseEndpoint()', () => {
  const everywhere = {
    commandLine: { dataUrl: 'http://1' },
    environment: { SYSTEMD_IMDS_DATA_URL: 'http://2' },
    kernelCommandLine: 'systemd.imds.data_url=http://3',
    ...credentials({ 'imds.data_url': 'http://4' }),
    ...udev({ IMDS_VENDOR: 'v', IMDS_DATA_URL: 'http://5' }),
  }

  it('takes the first source that says anything', () => {
    expect(choose(everywhere)?.dataUrl).toBe('http://1')
    expect(choose({ ...everywhere, commandLine: undefined })?.dataUrl).toBe('http://2')
    expect(choose({ ...everywhere, commandLine: undefined, environment: {} })?.dataUrl).toBe('http://3')
    const weaker = { ...everywhere, commandLine: undefined, environment: {}, kernelCommandLine: '' }
    expect(choose(weaker)?.dataUrl).toBe('http://4')
    expect(choose({ ...weaker, ...credentials({}) })).toEqual({ vendor: 'v', dataUrl: 'http://5' })
    expect(choose({})).toBeUndefined()
  })

  it.for([
    ['environment', { environment: { SYSTEMD_IMDS_ADDRESS_IPV4: '192.0.2.1' } }],
    ['kernel command line', { environment: {}, kernelCommandLine: 'systemd.imds.key.hostname=/h' }],
    ['credentials', { environment: {}, kernelCommandLine: '', ...credentials({ 'imds.vendor': 'v' }) }],
  ] as const)('hides all weaker ones with one field of the %s', ([, stronger]) => {
    expect(choose({ ...everywhere, commandLine: undefined, ...stronger })).toBeUndefined()
  })

  it('does not take addresses or paths alone for a command line that says something', () => {
    const commandLine = { addressIPv4: '192.0.2.1', wellKnown: { hostname: '/h' } }
    expect(choose({ ...everywhere, commandLine })).toEqual({ dataUrl: 'http://2' })
    expect(choose({ ...everywhere, commandLine: { ...commandLine, vendor: 'v' } })).toBeUndefined()
  })

  it('needs both of what a token needs, or neither', () => {
    const environment = { SYSTEMD_IMDS_DATA_URL: 'http://2', SYSTEMD_IMDS_TOKEN_URL: 'http://2/t' }
    expect(choose({ environment })).toBeUndefined()
    expect(choose({ environment: { ...environment, SYSTEMD_IMDS_TOKEN_HEADER_NAME: 'X' } })).toBeDefined()
  })

  it('reads every field of the environment', () => {
    const environment = {
      SYSTEMD_IMDS_VENDOR: 'v',
      SYSTEMD_IMDS_TOKEN_URL: 'http://2/t',
      SYSTEMD_IMDS_REFRESH_HEADER_NAME: 'R',
      SYSTEMD_IMDS_DATA_URL: 'http://2',
      SYSTEMD_IMDS_DATA_URL_SUFFIX: '?s',
      SYSTEMD_IMDS_TOKEN_HEADER_NAME: 'T',
      SYSTEMD_IMDS_EXTRA_HEADER: 'A: 1',
      SYSTEMD_IMDS_EXTRA_HEADER2: 'A: 2',
      SYSTEMD_IMDS_EXTRA_HEADER4: 'A: 4',
      SYSTEMD_IMDS_ADDRESS_IPV4: '192.0.2.1',
      SYSTEMD_IMDS_ADDRESS_IPV6: 'no address',
      SYSTEMD_IMDS_KEY_IPV4_PUBLIC: '/ip',
      SYSTEMD_IMDS_KEY_USERDATA_BASE64: '/u',
    }
    expect(choose({ environment })).toEqual({
      vendor: 'v',
      tokenUrl: 'http://2/t',
      refreshHeaderName: 'R',
      dataUrl: 'http://2',
      dataUrlSuffix: '?s',
      tokenHeaderName: 'T',
      extraHeader: ['A: 1', 'A: 2'],
      addressIPv4: '192.0.2.1',
      wellKnown: { 'ipv4-public': '/ip', 'userdata-base64': '/u' },
    })
  })

  it('reads the kernel command line, with headers in quotes and an empty one that begins anew', () => {
    const line = [
      'systemd.imds.data-url=http://3 systemd.imds.extra_header=A:1 systemd.imds.extra_header=',
      'systemd.imds.extra_header="Metadata: true" systemd.imds.key.ipv4_public=/ip rd.systemd.imds.vendor=initrd',
    ].join(' ')
    const read = { dataUrl: 'http://3', extraHeader: ['Metadata: true'], wellKnown: { 'ipv4-public': '/ip' } }
    expect(choose({ kernelCommandLine: line })).toEqual(read)
    expect(choose({ kernelCommandLine: line, isInitrd: true })).toEqual({ ...read, vendor: 'initrd' })
  })

  it('reads on behind a network mode that is none, where 262 gives up', () => {
    const kernelCommandLine = 'systemd.imds.network=bogus systemd.imds.data_url=http://3'
    expect(choose({ kernelCommandLine })?.dataUrl).toBe('http://3')
    expect(choose({ kernelCommandLine, compat: true })).toBeUndefined()
    expect(choose({ kernelCommandLine: kernelCommandLine.replace('bogus', 'locked'), compat: true })).toBeDefined()
  })

  it('reads credentials, whose token URL has a name of its own and whose headers may have gaps', () => {
    const all = {
      'imds.data_url': 'http://4',
      'imds.vendor_token': 'http://4/t',
      'imds.token_url': 'http://4/other',
      'imds.token_header_name': 'T',
      'imds.extra_header3': 'A: 3',
      'imds.extra_header63': 'A: 63',
      'imds.extra_header64': 'A: 64',
      'imds.key_ssh_key': '/k',
    }
    expect(choose(credentials(all))).toEqual({
      dataUrl: 'http://4',
      tokenUrl: 'http://4/t',
      tokenHeaderName: 'T',
      extraHeader: ['A: 3', 'A: 63'],
      wellKnown: { 'ssh-key': '/k' },
    })
  })

  it('reads nothing of udev where it names no vendor', () => {
    expect(choose(udev({ IMDS_DATA_URL: 'http://5' }))).toBeUndefined()
  })
})

describe('hostSources()', () => {
  it('reads credentials of the unit, and none that is no text', () => {
    const directory = mkdtempSync(join(tmpdir(), 'imds-credentials-'))
    try {
      writeFileSync(join(directory, 'imds.data_url'), 'http://4')
      writeFileSync(join(directory, 'imds.vendor'), 'a\0b')
      const sources = hostSources(undefined, {
        compat: false,
        environment: { CREDENTIALS_DIRECTORY: directory, SYSTEMD_PROC_CMDLINE: '' },
      })
      expect(chooseEndpoint({ ...sources, udevProperties: new Map() })).toEqual({ dataUrl: 'http://4' })
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

describe('udevProperties()', () => {
  it('reads the properties of a record, and nothing else of it', () => {
    const record = 'I:1\nE:IMDS_VENDOR=v\nE:IMDS_DATA_URL=http://5/?a=b\nG:systemd\nE:=x\nE:'
    expect([...udevProperties(record)]).toEqual([
      ['IMDS_VENDOR', 'v'],
      ['IMDS_DATA_URL', 'http://5/?a=b'],
    ])
  })
})
