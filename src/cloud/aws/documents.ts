import { createHash, sign } from 'node:crypto'
import { signCms } from '../cms.ts'
import type { KeyKind, Signer } from '../signer.ts'
import { type AwsInstance, partition } from './instance.ts'

const HOUR_MS = 3_600_000

/** ISO 8601 in whole seconds, as all of EC2's documents have it. */
export function isoSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** `/dynamic/instance-identity/document`, the unsigned text itself. */
export function identityDocument(instance: AwsInstance): string {
  return JSON.stringify(
    {
      accountId: instance.accountId,
      architecture: instance.architecture,
      availabilityZone: instance.zone,
      billingProducts: null,
      devpayProductCodes: null,
      imageId: instance.image,
      instanceId: instance.id,
      instanceType: instance.type,
      kernelId: null,
      marketplaceProductCodes: null,
      pendingTime: isoSeconds(instance.startedAtMs),
      privateIp: instance.interfaces[0].ipv4,
      ramdiskId: null,
      region: instance.region,
      version: '2017-09-30',
    },
    null,
    2,
  )
}

/** Whose certificate the documents of a region are signed with. */
export function identitySignerName({ region }: AwsInstance): string {
  return `ec2.${region}.amazonaws.example`
}

/**
 * `/dynamic/instance-identity/pkcs7` (DSA) and `rsa2048`: the document and its signature, base64 without armour. It is
 * signed when the instance starts, so that it is always the same.
 */
export function identityPkcs7(instance: AwsInstance, signer: Signer, kind: KeyKind): string {
  const options = { digest: kind === 'dsa' ? 'sha1' : 'sha256', signedAtMs: instance.startedAtMs } as const
  const identity = signer.identity(identitySignerName(instance), kind)
  return lines(signCms(identity, Buffer.from(identityDocument(instance)), options))
}

/** `/dynamic/instance-identity/signature`: RSA with SHA-256 over the document. */
export function identitySignature(instance: AwsInstance, signer: Signer): string {
  const { privateKey } = signer.identity(identitySignerName(instance))
  return lines(sign('sha256', Buffer.from(identityDocument(instance)), privateKey))
}

/** As in a PEM file, without its first and last line. */
function lines(bytes: Uint8Array): string {
  return (
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')
}

/** Credentials that say what they are. They change every hour and live for six, so clients have something to renew. */
export function fakeCredentials(instance: AwsInstance, subject: string, nowMs: number): string {
  const updatedAtMs = hourBefore(nowMs)
  const token = createHash('sha512').update(`${instance.id} ${subject} ${updatedAtMs}`).digest('base64')
  return JSON.stringify(
    {
      Code: 'Success',
      LastUpdated: isoSeconds(updatedAtMs),
      Type: 'AWS-HMAC',
      AccessKeyId: 'ASIAFAKEBOOTWRIGHT00',
      SecretAccessKey: 'bootwright+fake+secret+key+of+no+account',
      Token: `bootwright-fake-session-token/${token}`,
      Expiration: isoSeconds(updatedAtMs + 6 * HOUR_MS),
    },
    null,
    2,
  )
}

/** `/meta-data/iam/info` of an instance with a role. */
export function iamInfo(instance: AwsInstance, role: string, nowMs: number): string {
  return JSON.stringify(
    {
      Code: 'Success',
      LastUpdated: isoSeconds(hourBefore(nowMs)),
      InstanceProfileArn: `arn:${partition(instance.region)}:iam::${instance.accountId}:instance-profile/${role}`,
      InstanceProfileId: 'AIPAFAKEBOOTWRIGHT000',
    },
    null,
    2,
  )
}

/** `/meta-data/identity-credentials/ec2/info`. */
export function identityCredentialsInfo(instance: AwsInstance, nowMs: number): string {
  const info = { Code: 'Success', LastUpdated: isoSeconds(hourBefore(nowMs)), AccountId: instance.accountId }
  return JSON.stringify(info, null, 2)
}

/** `/meta-data/events/maintenance/scheduled` (active ones) and `history` (the others). */
export function maintenanceEvents(instance: AwsInstance, which: 'scheduled' | 'history'): string {
  const events = instance.scheduledEvents.filter(({ state }) => (state === 'active') === (which === 'scheduled'))
  return JSON.stringify(
    events.map((event) => ({
      NotBefore: maintenanceDate(event.notBeforeMs),
      Code: event.code,
      Description: event.description,
      EventId: event.eventId,
      NotAfter: maintenanceDate(event.notAfterMs),
      State: event.state,
    })),
    null,
    2,
  )
}

/** Maintenance events are dated like `21 Jan 2019 09:00:43 GMT`, unlike everything else. */
function maintenanceDate(ms: number): string {
  return new Date(ms).toUTCString().slice('Thu, '.length)
}

/** Credentials change on the hour. */
function hourBefore(nowMs: number): number {
  return Math.floor(nowMs / HOUR_MS) * HOUR_MS
}
