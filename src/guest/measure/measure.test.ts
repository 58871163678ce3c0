import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quote, runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'
import { keptOutput } from '../tool-output.test-support.ts'
import { measure } from './measure.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const ORIGINAL = '/usr/lib/systemd/systemd-measure'

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootwright-measure-'))
  const files = { linux: 'HALLO\n', initrd: 'foobar\n', other: 'x', empty: '' }
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  for (const [name, pair] of [
    ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['other-rsa', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ec', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ] as const) {
    const privatePem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' })
    await writeFile(join(directory, `${name}.pem`), privatePem, { mode: 0o600 })
    await writeFile(join(directory, `${name}.pub`), pair.publicKey.export({ type: 'spki', format: 'pem' }))
  }
  await writeFile(
    join(directory, 'loose.pem'),
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  )
  await chmod(join(directory, 'loose.pem'), 0o604)
})

afterAll(() => rm(directory, { recursive: true, force: true }))

/** Words of a command line; `@name` is a file. */
function argvOf(line: string): string[] {
  return line
    .split(' ')
    .filter(Boolean)
    .map((word) => word.replace('@', `${directory}/`))
}

async function ours(argv: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const { output, kept } = keptOutput(environment)
  const exitCode = await measure(argv, output, 'systemd 262\n')
  return { exitCode, ...kept }
}

async function original(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { exitCode, stdout, stderr } = await runUnchecked(toolchain.command([ORIGINAL, ...argv], { env }))
  return { exitCode, stdout, stderr }
}

/** All that a command writes on a terminal. */
async function onTerminal(argv: readonly string[]): Promise<string> {
  const command = argv.map(quote).join(' ')
  const shown = await runUnchecked({
    argv: ['script', '--quiet', '--flush', '--command', command, '/dev/null'],
    env: { TERM: 'xterm', COLORTERM: '', SYSTEMD_COLORS: '' },
  })
  return shown.stdout
}

const SECTIONS = 'linux osrel cmdline initrd ucode splash dtb dtbauto uname sbat pcrpkey profile hwids efifw'.split(' ')

describe.skipIf(toolchain === undefined)('measure() (needs the tools: ./bootwright setup)', () => {
  it.for([
    'calculate --linux=@linux --initrd=@initrd',
    'calculate --linux=@linux --initrd=@initrd --json=pretty',
    'calculate --linux=@linux -j --phase=: --phase=b --phase=a::c --bank=sha512 --bank=SHA1 --bank=sha1',
    'calculate --linux=@linux --phase=: --phase=b --phase=a: --phase=b --json=off',
    'calculate --linux=@linux --phase=',
    'calculate --linux=@empty --bank=sha1',
    'calculate --linux=@linux --bank=sm3 --bank=sha3-256 --bank=md5 --bank=sha512 --bank=sha1 --bank=blake2s256',
    'calculate --linux=@linux --json=short --bank=SHA3-512 --bank=sha224 --bank=rmd160 --bank=sha512-256 --bank=md5-sha1',
    'calculate --linux=@linux --phase=: --bank=SHA2-256 --bank=RSA-SM3 --bank=sha-1 --bank=ssl3-md5 --bank=blake2b512',
    'calculate --linux=@linux --linux=@other --bank=sha256',
    'calculate --li @linux --bank sha1',
    `calculate ${SECTIONS.map((name) => `--${name}=@other`).join(' ')}`,
    ...SECTIONS.map((name) => `calculate --linux=@linux --${name}=@initrd --bank=sha256`),
    'sign --linux=@linux --private-key=@rsa.pem',
    'sign --linux=@linux --private-key=@rsa.pem --json=off --bank=sha1',
    'sign --linux=@linux --private-key=@rsa.pem --policyref=foo --json=pretty',
    'sign --linux=@linux --private-key=@rsa.pem --policyref= --bank=sha1',
    'sign --linux=@linux --private-key=@rsa.pem --public-key=@other-rsa.pub --bank=sha1',
    'sign --linux=@linux --private-key=@rsa.pem --public-key=@ec.pub --bank=sha1',
    'sign --linux=@linux --private-key=@loose.pem --bank=sha1',
    'policy-digest --linux=@linux',
    'policy-digest --linux=@linux --public-key=@rsa.pub --policyref=x',
    'policy-digest --linux=@linux --public-key=@ec.pub',
    'policy-digest --linux=@linux --private-key=@rsa.pem',
  ])('prints what the original prints: %s', async (line) => {
    expect(await ours(argvOf(line))).toEqual(await original(argvOf(line)))
    expect((await ours(argvOf(line))).exitCode).toBe(0)
  })

  it.for([
    'calculate',
    'calculate --linux=/tmp',
    'calculate --linux=@nosuch',
    'calculate --linux=@linux --json=foo',
    'calculate --linux',
    'calculate --p=linux',
    'calculate -x',
    'calculate --bank=',
    'calculate --linux=@linux --bank=md6',
    'calculate --linux=@linux --bank=sha512/256',
    'calculate --linux=@linux --bank=id-sha3-256',
    'sign --linux=@linux --private-key=@rsa.pem --bank=sha3-256',
    'policy-digest --linux=@linux --bank=sm3',
    'calculate --no-pager=1',
    'calculate --current --linux=@linux',
    'calculate --append=@linux --linux=@linux',
    'calculate --append=@linux',
    'calculate --append=@linux --current',
    'policy-digest --append=@linux',
    'policy-digest --append=@nosuch --linux=@linux',
    'sign --append=@linux',
    'sign --append=@linux --linux=@linux',
    'sign',
    'policy-digest',
    'calculate extra',
    '-- calculate --linux=@linux',
    'foo',
    'stat',
    'policy',
    'xyzzyx',
    'sign --linux=@linux',
    'sign --linux=@linux --private-key=@nosuch',
    'sign --linux=@linux --private-key=@linux',
    'sign --linux=@linux --private-key=@rsa.pem --append=@linux',
    'sign --linux=@linux --private-key=@rsa.pem --append=@nosuch',
    'sign --linux=@linux --private-key=@rsa.pem --private-key-source=provider:default',
    'sign --linux=@linux --private-key=@rsa.pem --private-key-source=foo',
    'calculate --linux=@linux --certificate-source=x',
    'policy-digest --linux=@linux --public-key=@nosuch',
    'policy-digest --linux=@linux --public-key=@rsa.pem',
    'policy-digest --linux=@linux --certificate=@rsa.pem',
  ])('refuses with the words of the original: %s', async (line) => {
    expect(await ours(argvOf(line))).toEqual(await original(argvOf(line)))
    expect((await ours(argvOf(line))).exitCode).toBe(1)
  })

  it.for(['16', '256', '24bit', 'yes', 'no', 'auto-256', 'x'])(
    'has the same colours with SYSTEMD_COLORS=%s',
    async (colors) => {
      const environment = { SYSTEMD_COLORS: colors, TERM: 'xterm' }
      for (const line of [
        'calculate --linux=@linux --bank=sha1',
        'calculate --linux=@linux --bank=sha1 --json=short',
        'sign --linux=@linux --private-key=@loose.pem --bank=sha1 --policyref=@"\\ --json=pretty',
        'sign --linux=@linux --private-key=@rsa.pem --bank=sha1 --phase=: --json=off',
        'sign --linux=@linux --private-key=@rsa.pem --bank=sha1 --phase=:',
        'calculate --linux=@linux --bank=sha1 -j',
        'calculate',
      ]) {
        expect(await ours(argvOf(line), environment)).toEqual(await original(argvOf(line), environment))
      }
    },
  )

  it.skipIf(spawnSync('script', ['--version']).status !== 0)('looks the same on a terminal', async () => {
    const main = [process.execPath, join(import.meta.dirname, '../main.ts'), 'systemd-measure']
    for (const line of [
      'calculate --linux=@linux --bank=sha1',
      'calculate --linux=@linux --bank=sha1 -j',
      'sign --linux=@linux --private-key=@loose.pem --bank=sha1 --phase=:',
      'calculate --append=@linux',
    ]) {
      const shown = await onTerminal([...main, ...argvOf(line)])
      expect(shown).toContain('\x1b[')
      expect(shown).toBe(await onTerminal(toolchain.command([ORIGINAL, ...argvOf(line)]).argv))
    }
  })

  it('appends as the original does, each signature once', async () => {
    const first = await original(argvOf('sign --linux=@linux --private-key=@rsa.pem --bank=sha1'))
    await writeFile(join(directory, 'signatures'), first.stdout)
    for (const more of ['--bank=sha256', '--bank=sha1', '--bank=sha1 --phase=x', '--bank=sha1 --policyref=x']) {
      const line = `sign --linux=@linux --private-key=@rsa.pem --append=@signatures ${more}`
      expect(await ours(argvOf(line))).toEqual(await original(argvOf(line)))
    }
    const digests = await original(argvOf('policy-digest --linux=@linux --bank=sha1'))
    await writeFile(join(directory, 'digests'), digests.stdout)
    for (const more of ['--bank=sha1', '--bank=sha512 --public-key=@rsa.pub']) {
      const line = `policy-digest --linux=@linux --append=@digests ${more}`
      expect(await ours(argvOf(line))).toEqual(await original(argvOf(line)))
    }
  })

  it('uses keys and certificates of an OpenSSL provider', async () => {
    const { command } = toolchain
    const certificate = ['req', '-x509', '-key', '@rsa.pem', '-subj', '/CN=x', '-days', '1', '-out', '@rsa.crt']
    expect((await runUnchecked(command(['openssl', ...argvOf(certificate.join(' '))]))).exitCode).toBe(0)
    const line =
      'sign --linux=@linux --bank=sha1 --private-key=file:@rsa.pem --private-key-source=provider:default --certificate=@rsa.crt'
    expect(await ours(argvOf(line))).toEqual(await original(argvOf(line)))
  })

  it('signs with a key of an elliptic curve, other bytes each time', async () => {
    const line = 'sign --linux=@linux --private-key=@ec.pem --bank=sha1 --phase=x'
    const [one, two] = (await Promise.all([ours(argvOf(line)), ours(argvOf(line))])).map(
      ({ stdout }) => JSON.parse(stdout).sha1[0],
    )
    expect(one.pol).toBe(two.pol)
    expect(one.sig).not.toBe(two.sig)
  })
})
