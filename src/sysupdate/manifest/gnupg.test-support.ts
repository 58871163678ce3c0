import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../system/index.ts'

/** A GnuPG home with keys of its own. */
export interface TestKeys extends AsyncDisposable {
  readonly home: string
  gpg(args: readonly string[], input?: Uint8Array): Promise<Buffer>
  /** Makes a key that signs; the faked time is the one in which it is made. */
  makeKey(userId: string, options?: { at?: string; expires?: string }): Promise<void>
  sign(userId: string, data: Uint8Array, options?: { at?: string; armor?: boolean }): Promise<Buffer>
  publicKeys(...userIds: string[]): Promise<Buffer>
}

export async function testKeys(): Promise<TestKeys> {
  // The path of its agent's socket has 108 bytes at most.
  const home = await mkdtemp(join(tmpdir(), 'bw-gpg-'))
  const time = (at?: string) => (at === undefined ? [] : [`--faked-system-time=${at}`])
  const gpg = async (args: readonly string[], input?: Uint8Array): Promise<Buffer> => {
    const argv = ['gpg', '--no-options', '--batch', '--quiet', `--homedir=${home}`, '--pinentry-mode=loopback']
    const full = [...argv, '--passphrase=', '--trust-model=always', '--armor', ...args]
    const { stdout } = await run({ argv: full }, input === undefined ? {} : { input })
    return Buffer.from(stdout)
  }
  return {
    home,
    gpg,
    async makeKey(userId, { at, expires = 'never' } = {}) {
      await gpg([...time(at), '--quick-generate-key', userId, 'ed25519', 'sign', expires])
    },
    async sign(userId, data, { at, armor = false } = {}) {
      const signature = await gpg([...time(at), `--local-user=${userId}`, '--detach-sign'], data)
      return armor ? signature : dearmored(signature)
    },
    async publicKeys(...userIds) {
      return dearmored(await gpg(['--export', ...userIds]))
    },
    async [Symbol.asyncDispose]() {
      await run({ argv: ['gpgconf', `--homedir=${home}`, '--kill', 'all'] })
      await rm(home, { recursive: true, force: true })
    },
  }
}

function dearmored(text: Buffer): Buffer {
  const body = /\n\n([^-]*)-----END/.exec(text.toString())?.[1] ?? ''
  return Buffer.from(body.replaceAll(/^=.*$/gm, ''), 'base64')
}
