import { randomBytes } from 'node:crypto'
import { type Instance, type Provider, userDataForSystemd } from '../cloud/index.ts'
import { instanceIn } from '../scene/index.ts'

/** Name of the credential that `verify` puts into the user data, to see it arrive. */
const PROBE_CREDENTIAL = 'bootwright.probe'

/** An instance, and what a guest must have learned from it. */
export interface VerifiedInstance {
  readonly provider: Provider
  readonly instance: Instance
  /** What systemd in it takes for its user data. */
  readonly userData: Uint8Array | undefined
  /** Credentials that the user data asks to be imported, by name. */
  readonly credentials: Readonly<Record<string, string>>
}

/** The instance that `verify` starts in a cloud: user data in systemd's format, with one credential to be imported. */
export function verifiedInstance(provider: Provider, macAddress: string): VerifiedInstance {
  const credentials = { [PROBE_CREDENTIAL]: randomBytes(16).toString('hex') }
  const userData = JSON.stringify({
    'systemd.credentials': Object.entries(credentials).map(([name, text]) => ({ name, text })),
  })
  const given = provider.systemdUserData?.give(Buffer.from(userData)) ?? { userData: Buffer.from(userData) }
  const instance = instanceIn(provider, macAddress, given)
  return { provider, instance, userData: userDataForSystemd(provider, instance), credentials }
}
