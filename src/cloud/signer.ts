import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { certificate, type Subject } from './certificate.ts'

/** A key with its certificate. */
export interface Identity {
  readonly privateKey: KeyObject
  /** DER. */
  readonly certificate: Uint8Array
}

export type KeyKind = 'rsa' | 'dsa'

/**
 * Who signs documents in place of a cloud: a test authority and identities that it certifies. Clients that are to
 * believe the documents must be given its certificate; no real one vouches for it.
 */
export interface Signer {
  readonly authority: Identity
  /** The identity of a name and its organizational units, always the same one; `dsa` for the oldest documents of EC2. */
  identity(commonName: string, kind?: KeyKind, units?: readonly string[]): Identity
  /** All identities get other keys from now on, certified by the same authority, as clouds do from time to time. */
  rotate(): void
}

/** What a signer is made of, so that it can be kept. */
export interface AuthorityKeys {
  readonly authority: Identity
  readonly rsa: KeyObject
  readonly dsa: KeyObject
}

const AUTHORITY: Subject = { organization: 'Bootwright', commonName: 'Bootwright test authority for clouds' }
const DAY_MS = 86_400_000
/** As old as anything that an instance can have been started at in a sane test. */
const NOT_BEFORE_MS = Date.UTC(2020, 0, 1)
const NOT_AFTER_MS = NOT_BEFORE_MS + 100 * 365 * DAY_MS

/** New keys, which no other authority has. */
export function makeAuthorityKeys(): AuthorityKeys {
  const privateKey = rsaKey()
  return {
    authority: { privateKey, certificate: certificateOf(AUTHORITY, privateKey, undefined) },
    ...identityKeys(),
  }
}

function identityKeys(): Pick<AuthorityKeys, KeyKind> {
  return { rsa: rsaKey(), dsa: generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }).privateKey }
}

function rsaKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
}

/** Makes keys only when something is to be signed, unless it is given some. */
export function makeSigner(keys?: AuthorityKeys): Signer {
  let kept = keys
  const use = (): AuthorityKeys => {
    kept ??= makeAuthorityKeys()
    return kept
  }
  const identities = new Map<string, Identity>()
  return {
    get authority() {
      return use().authority
    },
    identity(commonName, kind = 'rsa', units = []) {
      const name = [kind, commonName, ...units].join('\n')
      let identity = identities.get(name)
      if (identity === undefined) {
        const { authority, [kind]: privateKey } = use()
        const subject = { organization: 'Bootwright', units, commonName }
        identity = { privateKey, certificate: certificateOf(subject, privateKey, authority) }
        identities.set(name, identity)
      }
      return identity
    },
    rotate() {
      kept = { ...use(), ...identityKeys() }
      identities.clear()
    },
  }
}

/** A signed JSON web token (RFC 7519) with RS256; the key's name is a digest of its certificate. */
export function signJwt({ privateKey, certificate }: Identity, claims: Readonly<Record<string, unknown>>): string {
  const header = { alg: 'RS256', kid: createHash('sha1').update(certificate).digest('hex'), typ: 'JWT' }
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
}

export function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

function certificateOf(subject: Subject, privateKey: KeyObject, issuer: Identity | undefined): Uint8Array {
  return certificate({
    subject,
    privateKey,
    issuer: issuer === undefined ? undefined : { subject: AUTHORITY, privateKey: issuer.privateKey },
    serialNumber: randomBytes(16),
    notBeforeMs: NOT_BEFORE_MS,
    notAfterMs: NOT_AFTER_MS,
  })
}
