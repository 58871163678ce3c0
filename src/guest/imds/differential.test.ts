import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer, ok, type ScriptedEndpoint, scriptedEndpoint } from '../../imds/index.ts'
import { readyToolchain } from '../../toolchain/index.ts'
import { imdsGenerator } from '../imds-generator/generator.ts'
import { imdsd } from '../imdsd/imdsd.ts'
import { isInCloud, OriginalImds } from '../original-imds.test-support.ts'
import { imds } from './imds.ts'

const toolchain = await readyToolchain().catch(() => undefined)
const isRoot = process.getuid?.() === 0
const canCompare = toolchain !== undefined && OriginalImds.isFetched() && isRoot && !isInCloud()
/** Without a broker the tool looks for an interface by itself, and there has to be one. */
const hasInterface = Object.values(networkInterfaces()).some((all = []) => all.some(({ internal }) => !internal))
let original: OriginalImds
let directory: string
let places = 0
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-imds-'))
  if (canCompare) original = await OriginalImds.unpack(toolchain)
})
afterAll(async () => {
  await original?.[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const FIELDS = 'hostname region zone ipv4_public ipv6_public ssh_key userdata userdata_base userdata_base64'.split(' ')
const base64 = (text: string): string => Buffer.from(text).toString('base64')

interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly files: readonly string[]
  readonly wire?: readonly string[]
}

function place(): string {
  const path = join(directory, String(places++))
  mkdirSync(path)
  return path
}

/** Names, kinds, modes and what is in them; comments are everybody's own. */
function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(({ name }) => name !== 'mount')
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      if (entry.isSymbolicLink()) return `${path.slice(root.length)} -> ${readlinkSync(path)}`
      const name = `${path.slice(root.length)} ${(statSync(path).mode & 0o7777).toString(8)}`
      if (entry.isDirectory()) return name
      const lines = readFileSync(path, 'latin1').split('\n')
      const isUnit = path.endsWith('.network') || path.endsWith('.conf')
      return `${name} ${(isUnit ? lines.filter((line) => line !== '' && !line.startsWith('#')) : lines).join('\n')}`
    })
    .sort()
}

async function inProcess(
  run: (output: {
    isTerminal: boolean
    out(text: string | Uint8Array): void
    error(text: string): void
  }) => Promise<number>,
): Promise<{ exitCode: number; stdout: string }> {
  const chunks: Buffer[] = []
  const out = (text: string | Uint8Array): void => void chunks.push(Buffer.from(text))
  const exitCode = await run({ isTerminal: false, out, error: () => undefined })
  return { exitCode, stdout: Buffer.concat(chunks).toString() }
}

describe.runIf(canCompare && hasInterface)(
  "systemd-imds beside systemd's own (needs root, the tools, an image with systemd-imds)",
  () => {
    let endpoint: ScriptedEndpoint
    beforeAll(async () => {
      endpoint = await scriptedEndpoint()
    })
    afterAll(() => endpoint[Symbol.asyncDispose]())

    const envOf = (fields: readonly string[]): Record<string, string> => ({
      SYSTEMD_PROC_CMDLINE: '',
      SYSTEMD_IMDS_DATA_URL: endpoint.url,
      SYSTEMD_IMDS_VENDOR: 'acme',
      ...Object.fromEntries(fields.map((field) => [`SYSTEMD_IMDS_KEY_${field.toUpperCase()}`, `/${field}`])),
    })

    async function both(
      values: Readonly<Record<string, string | number>>,
      argv: readonly string[],
      { fields = FIELDS, prepare = '', bugs = ['--bug-compat=262'] } = {},
    ): Promise<{ theirs: Outcome; ours: Outcome }> {
      endpoint.answers = (line) => {
        const value = values[line.split('/').slice(1).join('/')] ?? 404
        return typeof value === 'number' ? answer(value) : ok(Buffer.from(value, 'latin1'))
      }
      const wire = (): string[] => endpoint.requests.map(({ line }) => line)
      const [runTheirs, runOurs] = [place(), place()]
      endpoint.clear()
      const result = await original.run('systemd-imds', argv, { env: envOf(fields), copyRunTo: runTheirs, prepare })
      const theirs = { exitCode: result.exitCode, stdout: result.stdout, files: filesOf(runTheirs), wire: wire() }
      endpoint.clear()
      if (prepare !== '') {
        const { run } = await import('../../system/index.ts')
        await run({ argv: ['sh', '-c', prepare.replaceAll('/run', runOurs)] })
      }
      const own = await inProcess((output) =>
        imds([...bugs, ...argv], output, {
          version: '',
          environment: envOf(fields),
          runDirectory: runOurs,
          measure: async () => undefined,
        }),
      )
      return { theirs, ours: { ...own, files: filesOf(runOurs), wire: wire() } }
    }

    const ALL = {
      hostname: 'h.example',
      region: 'r',
      zone: 'z',
      ipv4_public: '192.0.2.7',
      ipv6_public: '2001:db8::7',
      ssh_key: 'ssh-ed25519 A',
    }

    it.for([
      ['a summary', ALL, []],
      ['a summary of little', { region: 'r' }, []],
      ['a summary of nothing', {}, []],
      ['a summary with lines', { hostname: 'a\nb', region: '' }, []],
      ['a summary of what is not available', { hostname: 403 }, []],
      ['a key', { x: 'a\nb' }, ['/x']],
      ['a key without a value', { x: '' }, ['/x']],
      ['a key that is not there', {}, ['/x']],
      ['a key that is none', {}, ['x']],
      ['two keys', {}, ['/x', '/y']],
      ['a field', ALL, ['-K', 'hostname']],
      ['a field with a key', ALL, ['-K', 'hostname', '/x']],
      ['the base', { x: 'y' }, ['-K', 'base', '/x']],
      ['the base alone', {}, ['-K', 'base']],
      ['an unknown field', {}, ['-K', 'nonsense']],
      ['the fields', {}, ['-K', 'help']],
      ['the base of user data', { 'userdata_base/x': 'y' }, ['-K', 'userdata-base', '/x']],
      ['user data', { userdata: 'ud' }, ['-u']],
      ['user data of a tree', { userdata: 'ud', 'userdata_base/systemd-userdata': 'own' }, ['-u']],
      ['user data in base64', { userdata_base64: base64('six') }, ['-u']],
      ['user data in base64 with a newline', { userdata_base64: `${base64('six')}\n` }, ['-u']],
      ['user data in bad base64', { userdata_base64: '!!' }, ['-u']],
      ['empty user data', { userdata: '', userdata_base64: base64('six') }, ['-u']],
      ['no user data', {}, ['-u']],
      ['user data and a key', {}, ['-u', '/x']],
      ['a bad time', {}, ['--refresh=x', '/x']],
      ['a time', { x: 'y' }, ['--refresh=1h', '--cache=no', '/x']],
      ['a cache that is neither', {}, ['--cache=x', '/x']],
      ['import with a key', {}, ['--import', '/x']],
    ] as const)('shows %s', async ([, values, argv]) => {
      const { theirs, ours } = await both(values, argv)
      expect(ours).toEqual(theirs)
    })

    it.for([
      ['a field that is not set', ['-K', 'hostname']],
      ['a summary', []],
      ['an import', ['--import']],
    ] as const)('shows %s of a cloud that has no fields', async ([, argv]) => {
      const { theirs, ours } = await both(ALL, argv, { fields: [] })
      expect(ours).toEqual(theirs)
    })

    const credentials = (...all: unknown[]): string => JSON.stringify({ 'systemd.credentials': all })
    const MANY = credentials(
      ...[
        { name: 'a', text: 't' },
        { name: 'b', data: base64('d') },
        { name: 'c', encrypted: base64('e') },
      ],
      ...[{ name: '../x', text: 't' }, { name: 'a', text: 'again' }, { name: 'd', text: 'x', other: 1 }, { name: 'e' }],
      ...[
        { name: 'f', text: 'x', data: base64('y') },
        { name: 'g', data: '' },
        { name: 'h', text: '' },
        { name: 'i', data: '!!' },
      ],
      ...[
        { text: 'x' },
        { name: 'k', encrypted: '' },
        { name: 'l', text: 1 },
        'str',
        { name: 'x'.repeat(255), text: 'long' },
      ],
      ...[
        { name: 'x'.repeat(256), text: 'longer' },
        { name: 'a:b', text: 't' },
        { name: 'a b', text: 't' },
        { name: '.x', text: 't' },
      ],
      ...[
        { name: 'm', data: 'ZA' },
        { name: 'n', data: ' ZA==' },
        { name: 'ä', text: 'ä' },
        { name: 'o\t', text: '' },
      ],
    )

    it.for([
      ['everything', { ...ALL, userdata: credentials({ name: 'a', text: 't' }) }],
      ['nothing', {}],
      ['good and bad credentials', { userdata: MANY }],
      ['marked user data', { userdata: `#systemd-userdata\n${credentials({ name: 'a', text: 't' })}` }],
      ['user data with another mark', { userdata: `#systemd-userdata\r\n${credentials({ name: 'a', text: 't' })}` }],
      ['a mark and what is no object', { userdata: '#systemd-userdata\n[]' }],
      ['a mark and nothing', { userdata: '#systemd-userdata\n' }],
      ['user data behind white space', { userdata: ` \n${credentials({ name: 'a', text: 't' })}` }],
      ['an empty object', { userdata: ' { } ' }],
      ['cloud-config', { userdata: '#cloud-config\n' }],
      ['gzip', { userdata: '\x1f\x8b\x08\x00' }],
      ['JSON that is cut', { userdata: '{"a":' }],
      ['credentials that are no array', { userdata: '{"systemd.credentials":{}}' }],
      ['credentials that are null', { userdata: '{"systemd.credentials":null}' }],
      ['no credentials', { userdata: '{"systemd.credentials":[],"other":[1]}' }],
      ['a NUL byte', { userdata: `${credentials({ name: 'a', text: 't' })}\0` }],
      ['user data in base64', { userdata_base64: base64(credentials({ name: 'a', text: 't' })) }],
      ['user data in bad base64', { hostname: 'h', userdata_base64: '!' }],
      ['addresses that are none', { ipv4_public: '192.0.2.7\n', ipv6_public: '192.0.2.7', hostname: 'h\n' }],
      ['one address', { ipv6_public: '2001:db8::7' }],
      ['empty values', { hostname: '', ssh_key: '', ipv4_public: '', userdata: '' }],
      ['a failure, and the rest', { hostname: 500, userdata: credentials({ name: 'a', text: 't' }) }],
      ['what is not available', { ipv4_public: 403, userdata: credentials({ name: 'a', text: 't' }) }],
      ['several keys', { ssh_key: 'ssh-ed25519 A\nssh-ed25519 B\n' }],
    ] as const)('imports %s', async ([, values]) => {
      const { theirs, ours } = await both(values, ['--import'])
      expect(ours).toEqual(theirs)
    })

    it('replaces no credential, and removes user data that are gone', async () => {
      const prepare = [
        'mkdir -p -m 755 /run/systemd /run/systemd/imds',
        'mkdir -m 700 /run/credstore',
        'printf old >/run/credstore/a',
        'printf old >/run/credstore/firstboot.hostname',
        'printf old >/run/systemd/imds/userdata',
      ].join(' && ')
      const kept = await both({ ...ALL, userdata: credentials({ name: 'a', text: 't' }) }, ['--import'], { prepare })
      expect(kept.ours).toEqual(kept.theirs)
      const gone = await both({}, ['--import'], { prepare })
      expect(gone.ours).toEqual(gone.theirs)
    })

    it('keeps user data to root, and host name and addresses without a newline, unless asked not to', async () => {
      const values = { userdata: '#cloud-config\n', hostname: 'h\n', ipv4_public: '192.0.2.7\n' }
      const { ours } = await both(values, ['--import'], { bugs: [] })
      expect(ours.files).toContain('/systemd/imds/userdata 600 #cloud-config\n')
      expect(ours.files).toContain('/credstore/firstboot.hostname 400 h')
      expect(ours.files.join()).toContain('192,0,2,7')
    })
  },
)

describe.runIf(canCompare)(
  "systemd-imdsd --setup-network beside systemd's own (needs root, the tools, an image with systemd-imds)",
  () => {
    const V4 = 'systemd.imds.address_ipv4=192.0.2.1'
    const V6 = 'systemd.imds.address_ipv6=2001:db8::1'
    const modes = ['', 'off', 'locked', 'unlocked', 'yes', 'no', '1', 'LOCKED', 'bogus'].map((mode) =>
      mode === '' ? '' : `systemd.imds.network=${mode}`,
    )
    const lines = modes.flatMap((mode) =>
      ['', V4, V6, `${V4} ${V6}`].map((address) => `systemd.imds.data_url=http://127.0.0.1:1 ${address} ${mode}`),
    )

    it.for([
      ...lines,
      'systemd.imds.network=locked',
      `systemd.imds.data_url=http://127.0.0.1:1 systemd.imds.address_ipv4=x`,
    ])('writes the same for %s', async (line) => {
      const env = { SYSTEMD_PROC_CMDLINE: line }
      const [runTheirs, runOurs] = [place(), place()]
      const { exitCode, stdout } = await original.run('systemd-imdsd', ['--setup-network'], {
        env,
        copyRunTo: runTheirs,
      })
      const ours = await inProcess((output) =>
        imdsd(['--setup-network', '--bug-compat=262'], output, {
          version: '',
          environment: env,
          runDirectory: runOurs,
        }),
      )
      expect({ ...ours, files: filesOf(runOurs) }).toEqual({ exitCode, stdout, files: filesOf(runTheirs) })
    })
  },
)

describe.runIf(canCompare)(
  "systemd-imds-generator beside systemd's own (needs root, the tools, an image with systemd-imds)",
  () => {
    it.for([
      ['', ''],
      ['systemd.imds=yes', ''],
      ['systemd.imds', ''],
      ['systemd.imds=no', ''],
      ['systemd.imds=auto', ''],
      ['systemd.imds=bogus', ''],
      ['systemd.imds=yes systemd.imds=no', ''],
      ['systemd.imds=yes systemd.imds.import=yes', ''],
      ['systemd.imds=yes systemd.imds.import=bogus', ''],
      ['systemd.imds=yes systemd.imds.network=off', ''],
      ['systemd.imds=yes systemd.imds.network=no', ''],
      ['systemd.imds=yes systemd.imds.network=locked', ''],
      ['systemd.imds=yes systemd.imds.import=yes systemd.imds.network=bogus', ''],
      ['rd.systemd.imds=yes', '1'],
      ['rd.systemd.imds=yes', '0'],
      ['systemd.imds=yes systemd.imds.import=no', '1'],
      ['systemd.imds=yes', '1'],
    ] as const)('pulls in the same units for "%s" (initrd: "%s")', async ([line, initrd]) => {
      const env = { SYSTEMD_PROC_CMDLINE: line, ...(initrd !== '' && { SYSTEMD_IN_INITRD: initrd }) }
      const [runTheirs, runOurs, root] = [place(), place(), place()]
      const three = ['normal', 'early', 'late']
      const theirs = await original.run(
        'system-generators/systemd-imds-generator',
        three.map((name) => `/run/${name}`),
        {
          env,
          copyRunTo: runTheirs,
          prepare: `cd /run && mkdir ${three.join(' ')}`,
        },
      )
      for (const name of three) mkdirSync(join(runOurs, name))
      const ours = await inProcess((output) =>
        imdsGenerator(
          three.map((name) => join(runOurs, name)),
          output,
          { environment: env, root },
        ),
      )
      expect({ exitCode: ours.exitCode, files: filesOf(runOurs) }).toEqual({
        exitCode: theirs.exitCode,
        files: filesOf(runTheirs),
      })
    })
  },
)
