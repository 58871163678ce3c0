import { createHash } from 'node:crypto'
import { type Signer, signJwt } from '../signer.ts'
import type { GoogleInstance } from './instance.ts'

const HOUR_MS = 3_600_000
export const GOOGLE_ISSUER = 'https://accounts.google.com'
/** Whose certificate verifies identity tokens. */
export const GOOGLE_SIGNER_NAME = 'accounts.google.com'

/** An OAuth 2.0 token that says what it is. It changes every hour and lives until then. */
export function accessToken(instance: GoogleInstance, email: string, nowMs: number): string {
  const endMs = (Math.floor(nowMs / HOUR_MS) + 1) * HOUR_MS
  const secret = createHash('sha512').update(`${instance.id} ${email} ${endMs}`).digest('base64url')
  return JSON.stringify({
    access_token: `ya29.bootwright-fake-token.${secret}`,
    expires_in: Math.ceil((endMs - nowMs) / 1000),
    token_type: 'Bearer',
  })
}

/** The instance's identity as a JSON web token for an audience, with what `format=full` and `licenses=TRUE` add. */
export function identityToken(
  instance: GoogleInstance,
  email: string,
  query: ReadonlyMap<string, string>,
  nowMs: number,
  signer: Signer,
): string {
  const subject = BigInt(`0x${createHash('sha256').update(email).digest('hex').slice(0, 17)}`)
    .toString()
    .slice(0, 21)
  const issuedAt = Math.floor(nowMs / 1000)
  const isFull = query.get('format')?.toLowerCase() === 'full'
  const hasLicenses = query.get('licenses')?.toUpperCase() === 'TRUE'
  return signJwt(signer.identity(GOOGLE_SIGNER_NAME), {
    aud: query.get('audience'),
    azp: subject,
    ...(isFull ? { email, email_verified: true } : {}),
    exp: issuedAt + 3600,
    ...(isFull ? { google: { compute_engine: computeEngine(instance, hasLicenses) } } : {}),
    iat: issuedAt,
    iss: GOOGLE_ISSUER,
    sub: subject,
  })
}

function computeEngine(instance: GoogleInstance, hasLicenses: boolean): object {
  return {
    instance_creation_timestamp: Math.floor(instance.startedAtMs / 1000),
    instance_id: instance.id,
    instance_name: instance.name,
    ...(hasLicenses ? { license_id: instance.licenses } : {}),
    project_id: instance.projectId,
    project_number: Number(instance.numericProjectId),
    zone: instance.zone,
  }
}
