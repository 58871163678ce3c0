import { spawnSync } from 'node:child_process'
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ToolFailure } from '../tool-failure.ts'
import type { Signer } from './keys.ts'

/** A key that only a provider or an engine of OpenSSL can use: one on a token, named by a URI. */
export function opensslSigner(uri: string, source: string): Signer {
  return {
    sign(content) {
      const directory = mkdtempSync(join(tmpdir(), 'systemd-measure-'))
      try {
        const [from, to] = [join(directory, 'content'), join(directory, 'signature')]
        writeFileSync(from, content)
        openssl(`Failed to load private key from ${uri}`, [
          ...['pkeyutl', '-sign', '-rawin', '-digest', 'sha256', '-in', from, '-out', to, '-inkey', uri],
          ...sourceArguments(source, '-keyform'),
        ])
        return readFileSync(to)
      } finally {
        rmSync(directory, { recursive: true })
      }
    },
    publicKey() {
      const failure = `Failed to load private key from ${uri}`
      return createPublicKey(openssl(failure, ['pkey', '-pubout', '-in', uri, ...sourceArguments(source, '-inform')]))
    },
  }
}

/** The public key of a certificate that a provider of OpenSSL has. */
export function opensslCertificateKey(uri: string, source: string): KeyObject {
  const failure = `Failed to load X.509 certificate from ${uri}`
  const pem = openssl(failure, ['storeutl', '-certs', ...sourceArguments(source, ''), uri])
  const found = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(pem)?.[0]
  if (found === undefined) throw new ToolFailure(failure)
  return new X509Certificate(found).publicKey
}

/** `provider:NAME` or `engine:NAME`, for a command of OpenSSL; engines are asked for by the form of the key. */
function sourceArguments(source: string, formOption: string): string[] {
  const name = source.slice(source.indexOf(':') + 1)
  if (source.startsWith('engine:')) return ['-engine', name, ...(formOption === '' ? [] : [formOption, 'engine'])]
  return ['-provider', name, ...(name === 'default' ? [] : ['-provider', 'default'])]
}

function openssl(failure: string, argv: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync('openssl', argv, {
    encoding: 'utf8',
    stdio: ['inherit', 'pipe', 'pipe'],
  })
  if (error !== undefined) throw new ToolFailure(`${failure}: cannot run openssl: ${error.message}`)
  if (status !== 0) throw new ToolFailure(`${failure}: ${stderr.trim().split('\n')[0] ?? 'openssl failed'}`)
  return stdout
}
