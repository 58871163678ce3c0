import { answer, ok, type ScriptedAnswer } from '../../imds/index.ts'

/** One command line of systemd-imdsd, and what the endpoint answers. `§` stands for the endpoint's address. */
export interface DifferentialCase {
  readonly name: string
  readonly argv: readonly string[]
  readonly answers?: readonly ScriptedAnswer[]
  readonly env?: Readonly<Record<string, string>>
  /** Content of `$CREDENTIALS_DIRECTORY`. */
  readonly credentials?: Readonly<Record<string, string>>
  /** Command lines that come before it, with the same `$RUNTIME_DIRECTORY`. */
  readonly before?: readonly (readonly string[])[]
  /** Whether answers are remembered. */
  readonly isCached?: boolean
}

const DATA = ['--data-url=§/d']
const TOKEN = ['--token-url=§/t', '--token-header-name=X-Token', '--refresh-header-name=X-TTL']
const STATUSES = [
  200, 201, 202, 203, 204, 206, 208, 226, 300, 301, 302, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405,
]
const MORE_STATUSES = [
  406, 408, 409, 410, 411, 412, 413, 414, 418, 421, 422, 425, 426, 431, 451, 500, 501, 502, 504, 505,
]
const ODD_STATUSES = [511, 599, 600, 601, 700, 999]
const WELL_KNOWN =
  'base hostname region zone ipv4-public ipv6-public ssh-key userdata userdata-base userdata-base64'.split(' ')

const KEYS = [
  '/',
  '//',
  '/a/b/c',
  '/a//b',
  '/a/',
  '/?q=1',
  '/a?b=c&d=e',
  '/%20',
  '/%zz',
  '/a#b',
  '/a/../b',
  '/./a',
  '/..',
  '/a/%2e%2e/b',
  '/a:b@c',
  '/~a!$&()*+,;=',
  '/[1]{2}"<>|\\^`',
  `/${'x'.repeat(300)}`,
  `/${'x'.repeat(3000)}`,
  '/a b',
  '/\ta',
  '/ä',
  'a',
  '',
]

const HEADERS = [
  'A: b',
  'A:b',
  'A:',
  'A:  b  ',
  'A',
  ':b',
  'A;',
  'Host: other',
  'User-Agent: other',
  'Accept: text/plain',
  'a b: c',
]
const SPANS = ['1', '0', '1.5', '2min', '1h 30s', '500ms', '900000000us', 'infinity', '', 'x', '-1', '1 2', '1y']
const MARKS = ['1', '0', '0x10', '010', 'default', '', '4294967295', '4294967296', '-1', 'x', '0b11']
const BOOLEANS = ['yes', 'no', '1', '0', 'true', 'off', 'TRUE', 'x', '']
const INTERFACES = ['lo', '1', '0', '-1', '99999', 'nope', 'x/y', '', 'a'.repeat(20)]
const URLS = [
  'ftp://a',
  'a',
  'http://',
  'https://',
  'HTTP://{host}',
  'http://user:password@{host}',
  'http://[::1',
  'file:///etc/hostname',
]

/** Each is tried on both programs. */
export function differentialCases(): DifferentialCase[] {
  const cases: DifferentialCase[] = []
  const add = (
    name: string,
    argv: readonly string[],
    answers: readonly ScriptedAnswer[] = [ok('hi')],
    more = {},
  ): void => {
    cases.push({ name, argv, answers, ...more })
  }
  for (const status of [...STATUSES, ...MORE_STATUSES, ...ODD_STATUSES]) {
    add(`data ${status}`, [...DATA, '/k'], [answer(status)])
    add(`data ${status} with a body`, [...DATA, '/k'], [answer(status, 'body')])
  }
  for (const status of STATUSES) {
    add(`token ${status}`, [...DATA, ...TOKEN, '/k'], [answer(status, status < 300 ? 'tok' : ''), ok('hi')])
    add(
      `token, then data ${status}`,
      [...DATA, ...TOKEN, '/k'],
      [ok('t1'), answer(status, status < 300 ? 'x' : ''), ok('t2'), ok('hi')],
    )
  }
  for (const status of [429, 503]) {
    add(`data ${status}, then 200`, [...DATA, '/k'], [answer(status, 'later'), ok('hi')])
    add(`token ${status}, then 200`, [...DATA, ...TOKEN, '/k'], [answer(status), ok('tok'), ok('hi')])
  }
  for (const key of KEYS) add(`key ${JSON.stringify(key.slice(0, 40))} of ${key.length}`, [...DATA, '--', key])
  for (const name of WELL_KNOWN) {
    add(`${name} that is not set`, [...DATA, '-K', name])
    add(`${name} that is set`, [...DATA, `--well-known-key=${name}:/w`, '-K', name])
    add(`${name} and a key`, [...DATA, `--well-known-key=${name}:/w`, '-K', name, '/k'])
  }
  for (const header of HEADERS) add(`header ${JSON.stringify(header)}`, [...DATA, `--extra-header=${header}`, '/k'])
  for (const header of HEADERS) {
    add(
      `header name ${JSON.stringify(header)}`,
      [...DATA, '--token-url=§/t', `--token-header-name=${header}`, '/k'],
      [ok('t'), ok('x')],
    )
  }
  for (const span of SPANS)
    add(`refresh ${JSON.stringify(span)}`, [...DATA, ...TOKEN, `--refresh=${span}`, '/k'], [ok('t'), ok('x')])
  for (const mark of MARKS) add(`mark ${JSON.stringify(mark)}`, [...DATA, `--fwmark=${mark}`, '/k'])
  for (const truth of BOOLEANS) {
    add(`cache ${JSON.stringify(truth)}`, [...DATA, `--cache=${truth}`, '/k'], [ok('x')], { isCached: true })
    add(`wait ${JSON.stringify(truth)}`, [...DATA, `--wait=${truth}`, '/k'])
  }
  for (const name of INTERFACES.filter(Boolean)) add(`interface ${JSON.stringify(name)}`, [...DATA, '-i', name, '/k'])
  for (const url of URLS) add(`address ${url}`, [`--data-url=${url}`, '/k'])
  add('several headers', [...DATA, '--extra-header=A: 1', '--extra-header=B: 2', '--extra-header=A: 3', '/k'])
  add('headers taken back', [...DATA, '--extra-header=A: 1', '--extra-header=', '--extra-header=B: 2', '/k'])
  add('a suffix', [...DATA, '--data-url-suffix=?a=b', '/k'])
  add('a suffix that is no address', [...DATA, '--data-url-suffix= x', '/k'])
  add('no key', DATA)
  add('two keys', [...DATA, '/a', '/b'])
  add('no endpoint', ['/k'])
  add('an address alone', ['--address-ipv4=192.0.2.1', '/k'])
  add('a token URL alone', [...DATA, '--token-url=§/t', '/k'])
  add('a token header alone', [...DATA, '--token-header-name=X', '/k'])
  add('an unknown option', ['--nonsense'])
  add('an unknown field', [...DATA, '-K', 'nonsense'])
  add('fields listed', ['-K', 'help'])
  for (const path of ['hostname', 'hostname:', 'hostname:a', 'x:/a', ':/a', 'hostname:/a b', '']) {
    add(`path ${JSON.stringify(path)}`, [...DATA, `--well-known-key=${path}`, '-K', 'hostname'])
  }
  for (const address of ['192.0.2', 'x', '', '2001:db8::1'])
    add(`IPv4 ${address}`, [...DATA, `--address-ipv4=${address}`, '/k'])
  for (const address of ['192.0.2.1', 'x', '', '2001:db8::1'])
    add(`IPv6 ${address}`, [...DATA, `--address-ipv6=${address}`, '/k'])
  addBodies(add)
  addRedirects(add)
  addSources(add)
  addCached(add)
  return cases
}

type Add = (name: string, argv: readonly string[], answers?: readonly ScriptedAnswer[], more?: object) => void

function addBodies(add: Add): void {
  add('an empty body', [...DATA, '/k'], [ok('')])
  add('bytes', [...DATA, '/k'], [ok(Buffer.from([0, 1, 255, 10]))])
  add('a newline at the end', [...DATA, '/k'], [ok('hi\n')])
  add('HTTP/1.0', [...DATA, '/k'], ['HTTP/1.0 200 OK\r\n\r\nabc'])
  add(
    'chunks',
    [...DATA, '/k'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n'],
  )
  add(
    'chunks and trailers',
    [...DATA, '/k'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n'],
  )
  add('gzip', [...DATA, '/k'], [answer(200, 'packed', 'Content-Encoding: gzip\r\n')])
  add('an interim answer', [...DATA, '/k'], [`HTTP/1.1 100 Continue\r\n\r\n${ok('hi')}`])
  add('no answer, then one', [...DATA, '/k'], [undefined, ok('hi')])
  add('another protocol', [...DATA, '/k'], ['SSH-2.0-x\r\n\r\n'])
  add(
    'a broken chunk, then an answer',
    [...DATA, '/k'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', ok('hi')],
  )
  add('4 MiB', [...DATA, '/k'], [ok('x'.repeat(4_194_304))])
  add('4 MiB and one byte', [...DATA, '/k'], [ok('x'.repeat(4_194_305))])
  for (const token of ['', 'a\n', 'a\0', 'a\tb', 'é', 'x'.repeat(4096), 'x'.repeat(4097), ' a ']) {
    add(
      `token ${JSON.stringify(token.slice(0, 10))} of ${token.length}`,
      [...DATA, ...TOKEN, '/k'],
      [ok(token), ok('hi')],
    )
  }
  add('a token that is no text', [...DATA, ...TOKEN, '/k'], [ok(Buffer.from([0x74, 0xff])), ok('hi')])
}

function addRedirects(add: Add): void {
  const to = (location: string, status = 302): Buffer => answer(status, '', `Location: ${location}\r\n`)
  for (const location of ['/y', 'y', '../y', '?z', '', '#f', 'file:///etc/hostname', 'ftp://127.0.0.1/', '/a b']) {
    add(`leads to ${JSON.stringify(location)}`, [...DATA, '/a/b?c'], [to(location), ok('y')])
  }
  for (const status of [300, 301, 303, 304, 305, 307, 308])
    add(`leads on with ${status}`, [...DATA, '/k'], [to('/y', status), ok('y')])
  for (const status of [301, 302, 303, 307, 308]) {
    add(`the token leads on with ${status}`, [...DATA, ...TOKEN, '/k'], [to('/y', status), ok('tok'), ok('hi')])
  }
  add(
    'leads on, with headers',
    [...DATA, ...TOKEN, '--extra-header=Authorization: b', '/k'],
    [ok('t'), to('/y'), ok('y')],
  )
  add('leads on with a body', [...DATA, '/k'], [answer(302, 'moved', 'Location: /y\r\n'), ok('y')])
  add('leads in circles', [...DATA, '/k'], [to('/y')])
}

function addSources(add: Add): void {
  const env = {
    SYSTEMD_IMDS_DATA_URL: '§/e',
    SYSTEMD_IMDS_VENDOR: 'v',
    SYSTEMD_IMDS_KEY_HOSTNAME: '/h',
    SYSTEMD_IMDS_EXTRA_HEADER: 'A: 1',
  }
  const line = 'systemd.imds.data_url=§/c systemd.imds.extra-header="B: 2" systemd.imds.key.hostname=/kh'
  const credentials = { 'imds.data_url': '§/r', 'imds.extra_header3': 'C: 3', 'imds.key_hostname': '/rh' }
  add('environment', ['/k'], [ok('x')], { env })
  add('environment, by field', ['-K', 'hostname'], [ok('x')], { env })
  add('command line before environment', [...DATA, '/k'], [ok('x')], { env })
  add(
    'a path on the command line, the rest in the environment',
    ['--well-known-key=hostname:/o', '-K', 'hostname'],
    [ok('x')],
    { env },
  )
  add('a vendor on the command line hides the environment', ['--vendor=v', '/k'], [ok('x')], { env })
  add('one address in the environment hides the rest', ['/k'], [ok('x')], {
    env: { SYSTEMD_IMDS_ADDRESS_IPV4: '192.0.2.1', SYSTEMD_PROC_CMDLINE: line },
    credentials,
  })
  add('environment before kernel', ['/k'], [ok('x')], { env: { ...env, SYSTEMD_PROC_CMDLINE: line } })
  add('kernel command line', ['/k'], [ok('x')], { env: { SYSTEMD_PROC_CMDLINE: line } })
  add('kernel command line, by field', ['-K', 'hostname'], [ok('x')], { env: { SYSTEMD_PROC_CMDLINE: line } })
  add('kernel before credentials', ['/k'], [ok('x')], { env: { SYSTEMD_PROC_CMDLINE: line }, credentials })
  add('credentials', ['/k'], [ok('x')], { credentials })
  add('credentials, by field', ['-K', 'hostname'], [ok('x')], { credentials })
  add('a credential for the token', ['/k'], [ok('t'), ok('x')], {
    credentials: { ...credentials, 'imds.vendor_token': '§/t', 'imds.token_header_name': 'X' },
  })
  const words = [
    'systemd.imds.network=bogus systemd.imds.data_url=§/c',
    'systemd.imds.network=locked systemd.imds.data_url=§/c',
    'systemd.imds.network=1 systemd.imds.data_url=§/c',
    'systemd.imds.data_url=§/c systemd.imds.network=bogus systemd.imds.data_url_suffix=?s',
    'rd.systemd.imds.data_url=§/c',
    'systemd.imds.data-url=§/c systemd_imds.data_url=§/x',
    'systemd.imds.data_url=§/c systemd.imds.data_url=§/later',
    'systemd.imds.data_url=§/c systemd.imds.extra_header=A:1 systemd.imds.extra_header= systemd.imds.extra_header=B:2',
    "systemd.imds.data_url=§/c systemd.imds.extra_header='A: 1'",
    'systemd.imds.data_url="§/c',
    'systemd.imds.data_url= systemd.imds.data_url=§/c',
    'systemd.imds.data_url',
    'systemd.imds.data_url=ftp://x',
    'systemd.imds.data_url=§/c systemd.imds.unknown=x',
  ]
  for (const word of words)
    add(`kernel command line ${word}`, ['/k'], [ok('x')], { env: { SYSTEMD_PROC_CMDLINE: word } })
  add('an initrd', ['/k'], [ok('x')], {
    env: { SYSTEMD_IN_INITRD: '1', SYSTEMD_PROC_CMDLINE: 'rd.systemd.imds.data_url=§/c' },
  })
  const headers = { ...env, SYSTEMD_IMDS_EXTRA_HEADER2: 'B: 2', SYSTEMD_IMDS_EXTRA_HEADER4: 'D: 4' }
  add('headers with a gap', ['/k'], [ok('x')], { env: headers })
  add('an empty variable', ['/k'], [ok('x')], { env: { ...env, SYSTEMD_IMDS_DATA_URL_SUFFIX: '' } })
  add('an empty address', ['/k'], [ok('x')], { env: { SYSTEMD_IMDS_DATA_URL: '' } })
  add('a header that is none', ['/k'], [ok('x')], { env: { ...env, SYSTEMD_IMDS_EXTRA_HEADER: 'nonsense' } })
  add('an address that is none', ['/k'], [ok('x')], { env: { ...env, SYSTEMD_IMDS_ADDRESS_IPV4: 'nonsense' } })
  add('an address of another protocol', ['/k'], [ok('x')], { env: { ...env, SYSTEMD_IMDS_DATA_URL: 'ftp://x' } })
}

function addCached(add: Add): void {
  const cached = { isCached: true }
  add('remembers a value', [...DATA, '/k'], [ok('one')], cached)
  add('remembers an absence', [...DATA, '/k'], [answer(404)], cached)
  add('remembers a token', [...DATA, ...TOKEN, '/k'], [ok('tok'), ok('one')], cached)
  add('remembers nothing of 500', [...DATA, '/k'], [answer(500)], cached)
  add('remembers nothing of 403', [...DATA, '/k'], [answer(403)], cached)
  add('drops a token that is refused', [...DATA, ...TOKEN, '/k'], [ok('t1'), answer(401), ok('t2'), ok('x')], cached)
  for (const key of ['/a/b', '/a.b', '/a\\b', '/a~!"#$%&', '/', `/${'x'.repeat(247)}`, `/${'x'.repeat(248)}`]) {
    add(`remembers ${JSON.stringify(key.slice(0, 20))} of ${key.length}`, [...DATA, key], [ok('one')], cached)
  }
  const again = { ...cached, before: [[...DATA, '/k']] }
  add('gives what it remembers', [...DATA, '/k'], [ok('one'), ok('two')], again)
  add('gives an absence that it remembers', [...DATA, '/k'], [answer(404), ok('two')], again)
  add('asks again with --cache=no', [...DATA, '--cache=no', '/k'], [ok('one'), ok('two')], again)
  add('gives it for another address too', ['--data-url=§/other', '/k'], [ok('one'), ok('two')], again)
  add('asks for another key', [...DATA, '/l'], [ok('one'), ok('two')], again)
  add('uses a token that it remembers', [...DATA, ...TOKEN, '/l'], [ok('tok'), ok('one'), ok('two')], {
    ...cached,
    before: [[...DATA, ...TOKEN, '/k']],
  })
}
