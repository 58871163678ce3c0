import { verify, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../../system/index.ts'
import { Cache, fetchPackage, findPackageSources, readyToolchain, type Toolchain } from '../../toolchain/index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const hasProvider =
  toolchain !== undefined &&
  (
    await runUnchecked(
      toolchain.command(['sh', '-c', 'ls /usr/lib/*/ossl-modules/pkcs11.so && command -v pkcs11-tool']),
    )
  ).exitCode === 0

const ORIGINAL = ['/usr/lib/systemd/systemd-measure']
const OURS = [process.execPath, resolve(import.meta.dirname, '../main.ts'), 'systemd-measure']
const PIN = '123456'
const KEY = `pkcs11:token=bootwright;object=pcr;type=private?pin-value=${PIN}`

/** A token in files, made by SoftHSM, with one key that cannot be taken out of it. */
class SoftToken {
  readonly directory: string
  readonly env: Readonly<Record<string, string>>

  private constructor(directory: string) {
    this.directory = directory
    this.env = { SOFTHSM2_CONF: join(directory, 'softhsm.conf'), OPENSSL_CONF: join(directory, 'openssl.cnf') }
  }

  static async make(directory: string): Promise<SoftToken> {
    const entry = await new Cache().entry('packages-unpacked', 'libsofthsm2', async (into) => {
      await fetchPackage('libsofthsm2', into, await findPackageSources())
    })
    const module = join(entry, 'unpacked/usr/lib/softhsm/libsofthsm2.so')
    const token = new SoftToken(directory)
    await mkdir(join(directory, 'tokens'))
    await writeFile(token.env.SOFTHSM2_CONF ?? '', `directories.tokendir = ${join(directory, 'tokens')}\n`)
    // SoftHSM is itself a user of OpenSSL: were its digests those of the token, it would wait for itself.
    const configuration = [
      ...['openssl_conf = init', '[init]', 'providers = providers', '[providers]', 'default = built-in'],
      ...['pkcs11 = token', '[built-in]', 'activate = 1', '[token]', 'module = pkcs11.so', 'activate = 1'],
      ...[`pkcs11-module-path = ${module}`, 'pkcs11-module-block-operations = digest', ''],
    ]
    await writeFile(token.env.OPENSSL_CONF ?? '', configuration.join('\n'))
    const env = { SOFTHSM2_CONF: token.env.SOFTHSM2_CONF ?? '' }
    const tool = (...argv: readonly string[]) =>
      run(toolchain.command(['pkcs11-tool', '--module', module, ...argv], { env }), { timeoutMs: 60_000 })
    await tool('--init-token', '--slot-index', '0', '--label', 'bootwright', '--so-pin', PIN)
    await tool('--token-label', 'bootwright', '--init-pin', '--login', '--so-pin', PIN, '--pin', PIN)
    const pair = ['--keypairgen', '--key-type', 'rsa:2048', '--label', 'pcr', '--id', '01']
    await tool('--token-label', 'bootwright', '--login', '--pin', PIN, ...pair)
    return token
  }

  run(argv: readonly string[]) {
    return run(toolchain.command(argv, { env: this.env }), { timeoutMs: 60_000 })
  }

  runUnchecked(argv: readonly string[]) {
    return runUnchecked(toolchain.command(argv, { env: this.env }), { timeoutMs: 60_000 })
  }
}

describe.skipIf(!hasProvider)('measure(), with a key on a token (needs the tools: ./bootwright setup)', () => {
  let directory: string
  let token: SoftToken
  let certificate: string
  let linux: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bootwright-token-'))
    token = await SoftToken.make(directory)
    linux = join(directory, 'linux')
    await writeFile(linux, 'HALLO\n')
    certificate = join(directory, 'certificate.pem')
    const options = ['-subj', '/CN=on a token', '-days', '2', '-out', certificate]
    await token.run(['openssl', 'req', '-x509', '-new', '-provider', 'pkcs11', '-key', KEY, ...options])
  }, 120_000)

  afterAll(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  const sign = (key: string, ...more: readonly string[]): string[] => [
    ...['sign', `--linux=${linux}`, '--bank=sha256', '--phase=enter-initrd', '--private-key-source=provider:pkcs11'],
    ...[`--private-key=${key}`, ...more],
  ]

  it('signs what the original signs, with the same bytes', async () => {
    const argv = sign(KEY, `--certificate=${certificate}`)
    const theirs = await token.runUnchecked([...ORIGINAL, ...argv])
    expect(theirs).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('"sig":"') })
    const { exitCode, stdout, stderr } = await token.runUnchecked([...OURS, ...argv])
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: theirs.stdout, stderr: theirs.stderr })
  })

  it('has the token sign the policy, and no other', async () => {
    const { stdout } = await token.run([...OURS, ...sign(KEY, `--certificate=${certificate}`)])
    const [{ pol, sig }] = JSON.parse(stdout).sha256
    const { publicKey } = new X509Certificate(await readFile(certificate))
    const holds = (policy: Buffer) => verify('sha256', policy, publicKey, Buffer.from(sig, 'base64'))
    const policy = Buffer.from(pol, 'hex')
    expect(holds(policy)).toBe(true)
    policy.writeUInt8(policy.readUInt8(0) ^ 1, 0)
    expect(holds(policy)).toBe(false)
  })

  it.for([
    ['a key that is not there', `pkcs11:token=bootwright;object=other;type=private?pin-value=${PIN}`],
    ['a token that is not there', `pkcs11:token=nobodys;object=pcr;type=private?pin-value=${PIN}`],
    ['a wrong PIN', 'pkcs11:token=bootwright;object=pcr;type=private?pin-value=000000'],
  ] as const)('fails as the original does with %s', async ([, key]) => {
    const argv = sign(key, `--certificate=${certificate}`)
    const theirs = await token.runUnchecked([...ORIGINAL, ...argv])
    const ours = await token.runUnchecked([...OURS, ...argv])
    expect(theirs.exitCode).toBe(1)
    expect(ours).toMatchObject({ exitCode: 1, stdout: '' })
    expect(ours.stderr).toContain(`Failed to load private key from ${key}`)
    expect(theirs.stderr).toContain(`Failed to load private key from ${key}`)
  })
})
