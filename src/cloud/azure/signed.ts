import { createHash } from 'node:crypto'
import { signCms } from '../cms.ts'
import type { Json } from '../json.ts'
import { type Signer, signJwt } from '../signer.ts'
import type { AzureIdentity, AzureInstance } from './instance.ts'

/** Whose certificate the attested document is signed with. */
export const ATTESTED_SIGNER_NAME = 'metadata.azure.com'
/** Whose certificate verifies identity tokens. */
export const AZURE_TOKEN_SIGNER_NAME = 'login.microsoftonline.com'
const ATTESTED_MS = 6 * 3_600_000
const TOKEN_SECONDS = 86_400

/** `/metadata/attested/document`: facts of the instance in a CMS with the signature of a test authority. */
export function attestedDocument(instance: AzureInstance, nonce: string, nowMs: number, signer: Signer): Json {
  const [, , sku = ''] = instance.image.split(':')
  const data = {
    licenseType: '',
    nonce,
    plan: { name: '', product: '', publisher: '' },
    sku,
    subscriptionId: instance.subscriptionId,
    timeStamp: { createdOn: attestedTime(nowMs), expiresOn: attestedTime(nowMs + ATTESTED_MS) },
    vmId: instance.id,
  }
  const identity = signer.identity(ATTESTED_SIGNER_NAME)
  const signature = signCms(identity, Buffer.from(JSON.stringify(data)), { digest: 'sha256', signedAtMs: nowMs })
  return { encoding: 'pkcs7', signature: signature.toString('base64') }
}

/** `MM/DD/YY HH:MM:SS -0000` */
export function attestedTime(ms: number): string {
  const [, year, month, day, time] = /^\d\d(\d\d)-(\d\d)-(\d\d)T(.{8})/.exec(new Date(ms).toISOString()) ?? []
  return `${month}/${day}/${year} ${time} -0000`
}

/** `/metadata/identity/oauth2/token`: a signed token of a tenant that does not exist, for a resource. */
export function oauth2Token(
  instance: AzureInstance,
  identity: AzureIdentity,
  resource: string,
  nowMs: number,
  signer: Signer,
): Json {
  const notBefore = Math.floor(nowMs / 1000)
  const expiresOn = notBefore + TOKEN_SECONDS
  const issuer = `https://sts.windows.net/${instance.tenantId}/`
  const token = signJwt(signer.identity(AZURE_TOKEN_SIGNER_NAME), {
    aud: resource,
    iss: issuer,
    iat: notBefore,
    nbf: notBefore,
    exp: expiresOn,
    appid: identity.clientId,
    idp: issuer,
    oid: identity.objectId,
    sub: identity.objectId,
    tid: instance.tenantId,
    uti: createHash('sha256').update(`${instance.id} ${notBefore}`).digest('base64url').slice(0, 22),
    ver: '1.0',
    xms_mirid: identity.resourceId,
  })
  return {
    access_token: token,
    client_id: identity.clientId,
    expires_in: String(TOKEN_SECONDS),
    expires_on: String(expiresOn),
    ext_expires_in: String(TOKEN_SECONDS),
    not_before: String(notBefore),
    resource,
    token_type: 'Bearer',
  }
}
