import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BootwrightError, runUnchecked } from '../../system/index.ts'
import { printable } from '../payload/index.ts'
import type { Keyring } from './keyrings.ts'

export interface VerifyOptions {
  readonly keyrings: readonly Keyring[]
  /** Takes a good signature of a key that has expired since, as systemd 262 does. */
  readonly acceptExpiredKeys?: boolean
  readonly signal?: AbortSignal | undefined
  /** Programs to try in this order; the first that is there is used. For tests. */
  readonly programs?: readonly string[]
}

export interface Signer {
  /** Of the primary key, in upper-case hex. */
  readonly fingerprint: string
  /** What it says about itself; nobody has checked it. */
  readonly untrustedUserId: string
  readonly hasExpired: boolean
}

const TIMEOUT_MS = 120_000

/**
 * Verifies a detached OpenPGP signature (RFC 9580, 10.4), binary or armored, with the GnuPG of the system. A subkey that
 * comes inside the signature counts when the primary key, which is known, has certified it.
 *
 * Of several signatures one must be good, so that keys can change, and none may be bad. Rejects with `UPDATE_UNTRUSTED`
 * otherwise: the key is unknown, revoked or has expired; and with `TOOL_MISSING` where there is no GnuPG.
 */
export async function verifySignature(
  data: Uint8Array,
  signature: Uint8Array,
  options: VerifyOptions,
): Promise<Signer> {
  const home = await mkdtemp(join(tmpdir(), 'bootwright-gnupg-'))
  try {
    // GnuPG would make a home of its own taste of an empty directory, with a daemon for keys.
    await writeFile(join(home, 'common.conf'), '')
    await writeFile(join(home, 'data'), data)
    await writeFile(join(home, 'signature'), signature)
    const rings: string[] = []
    for (const [index, { bytes }] of options.keyrings.entries()) {
      const path = join(home, `keyring-${index}.gpg`)
      await writeFile(path, bytes)
      rings.push(`--keyring=${path}`)
    }
    const known = await runGnupg(home, rings, ['--with-colons', '--list-keys'], options)
    const files = [join(home, 'signature'), join(home, 'data')]
    const { lines, complaint } = await runGnupg(home, rings, [...VERIFY, ...files], options)
    const signer = judge(lines, complaint, options.acceptExpiredKeys === true)
    // GnuPG 2.2 takes a whole new key out of a signature, and its word for it.
    if (!primaryFingerprints(known.lines).has(signer.fingerprint)) {
      throw untrusted('NO_PUBKEY', VERDICTS.ERRSIG ?? '', '')
    }
    return signer
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function runGnupg(
  home: string,
  rings: readonly string[],
  command: readonly string[],
  options: VerifyOptions,
): Promise<{ lines: readonly string[]; complaint: string }> {
  for (const program of options.programs ?? ['gpg2', 'gpg']) {
    const argv = [
      program,
      '--no-options',
      '--batch',
      '--no-tty',
      '--quiet',
      `--homedir=${home}`,
      '--no-default-keyring',
      '--no-auto-check-trustdb',
      '--trust-model=always',
      '--weak-digest=SHA1',
      ...rings,
      ...command,
    ]
    try {
      const result = await runUnchecked(
        { argv, env: { LC_ALL: 'C' } },
        { timeoutMs: TIMEOUT_MS, signal: options.signal },
      )
      return { lines: result.stdout.split('\n'), complaint: result.stderr.trim() }
    } catch (error) {
      if (!(error instanceof BootwrightError) || error.code !== 'TOOL_MISSING') throw error
    }
  }
  throw new BootwrightError('TOOL_MISSING', 'Cannot find gpg, which verifies the signature of the manifest', {
    hint: 'Install GnuPG on the system that is updated.',
  })
}

const VERIFY = [
  '--no-auto-key-retrieve',
  '--auto-key-import',
  '--import-options=merge-only,import-clean',
  '--status-fd=1',
  '--verify',
]

/** Fingerprints of primary keys in a colon listing (doc/DETAILS): the first after each `pub`. */
function primaryFingerprints(lines: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  let isNext = false
  for (const [kind, ...fields] of lines.map((line) => line.split(':'))) {
    if (kind === 'pub') isNext = true
    if (kind !== 'fpr' || !isNext) continue
    found.add(fields[8] ?? '')
    isNext = false
  }
  return found
}

/** Of GnuPG's doc/DETAILS: each signature ends in exactly one of these. */
const VERDICTS: Readonly<Record<string, string>> = {
  BADSIG: 'it does not fit the manifest',
  EXPSIG: 'it has expired',
  EXPKEYSIG: 'its key has expired',
  REVKEYSIG: 'its key was revoked',
  ERRSIG: 'its key is unknown, or of a kind that GnuPG does not know',
}

function judge(lines: readonly string[], complaint: string, acceptExpiredKeys: boolean): Signer {
  let good: Signer | undefined
  let last: { readonly untrustedUserId: string; readonly hasExpired: boolean } | undefined
  const failures: BootwrightError[] = []
  for (const line of lines) {
    const [marker, keyword = '', ...words] = line.split(' ')
    if (marker !== '[GNUPG:]') continue
    const who = words.slice(1).join(' ')
    const verdict = VERDICTS[keyword]
    if (keyword === 'GOODSIG' || (keyword === 'EXPKEYSIG' && acceptExpiredKeys)) {
      last = { untrustedUserId: printable(who), hasExpired: keyword === 'EXPKEYSIG' }
    } else if (verdict !== undefined) {
      last = undefined
      const failure = untrusted(keyword, verdict, who)
      if (keyword === 'BADSIG') throw failure
      failures.push(failure)
    } else if (keyword === 'VALIDSIG' && last !== undefined) {
      good ??= { fingerprint: words[9] ?? words[0] ?? '', ...last }
    }
  }
  if (good !== undefined) return good
  throw failures[0] ?? untrusted('NODATA', `GnuPG found none in it: ${printable(complaint.split('\n')[0] ?? '')}`, '')
}

function untrusted(keyword: string, verdict: string, who: string): BootwrightError {
  const isNamed = keyword === 'EXPKEYSIG' || keyword === 'EXPSIG' || keyword === 'REVKEYSIG' || keyword === 'BADSIG'
  const by = isNamed && who !== '' ? ` by "${printable(who)}"` : ''
  return new BootwrightError('UPDATE_UNTRUSTED', `The signature${by} of the manifest is not good: ${verdict}`, {
    hint:
      keyword === 'EXPKEYSIG'
        ? 'Whoever makes the releases must prolong the key and hand out its public half again.'
        : 'Compare the key that signs the releases with those installed in /etc/systemd/import-pubring.pgp.',
    detail: { reason: 'signature', gnupg: keyword },
  })
}
