import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../system/index.ts'
import { Cache, type Toolchain } from '../toolchain/index.ts'

/** The manufacturer of this user's TPMs: who certifies their endorsement keys. */
export interface EndorsementAuthority {
  readonly directory: string
  readonly root: X509Certificate
  /** Signed by the root; it signs the certificates of endorsement keys. */
  readonly issuer: X509Certificate
}

/** The certificate of the endorsement key with RSA 2048, beside the state of its TPM: what the host knows without asking. */
export const CERTIFICATE_FILE = 'ek-rsa2048.crt'

/** The user's own authority, made now if there is none: its keys are secrets, and stay in the cache. */
export async function endorsementAuthority(
  toolchain: Toolchain,
  cache: Cache = new Cache(),
): Promise<EndorsementAuthority> {
  const directory = await cache.entry('tpm-authority', 'keys', (made) => makeAuthority(toolchain, made))
  const certificate = async (name: string) => new X509Certificate(await readFile(join(directory, name)))
  return {
    directory,
    root: await certificate('swtpm-localca-rootca-cert.pem'),
    issuer: await certificate('issuercert.pem'),
  }
}

/** swtpm_localca makes its keys along with the first certificate; the TPM of that one is thrown away. */
async function makeAuthority(toolchain: Toolchain, directory: string): Promise<void> {
  await chmod(directory, 0o700)
  const state = join(directory, 'first')
  await mkdir(state)
  await setUpTpm(toolchain, state, directory, ['--pcr-banks', 'sha256'])
  await rm(state, { recursive: true, force: true })
}

/** Runs swtpm_setup on a state directory; the authority in the other directory certifies the endorsement keys. */
export async function setUpTpm(
  toolchain: Toolchain,
  stateDirectory: string,
  authorityDirectory: string,
  options: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  // The host's configuration would choose banks and certificates for us; ours and the arguments decide.
  const [setup, authority, model] = ['setup.conf', 'localca.conf', 'localca.options'].map((name) =>
    join(stateDirectory, name),
  ) as [string, string, string]
  const of = (name: string) => join(authorityDirectory, name)
  await writeFile(
    authority,
    `statedir = ${authorityDirectory}\nsigningkey = ${of('signkey.pem')}\nissuercert = ${of('issuercert.pem')}\ncertserial = ${of('certserial')}\n`,
  )
  await writeFile(model, '--platform-manufacturer Bootwright\n--platform-version 1\n--platform-model Machine\n')
  await writeFile(
    setup,
    `create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = ${authority}\ncreate_certs_tool_options = ${model}\n`,
  )
  try {
    // biome-ignore format: an option and its value on one line
    const command = toolchain.command([
      'swtpm_setup',
      '--tpm2',
      '--config', setup,
      '--tpmstate', stateDirectory,
      '--create-ek-cert',
      '--write-ek-cert-files', stateDirectory,
      '--overwrite',
      ...options,
    ])
    await run(command, { signal, timeoutMs: 60_000 })
  } finally {
    for (const file of [setup, authority, model]) await rm(file, { force: true })
  }
}
