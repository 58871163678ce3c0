import { VarlinkErrorReply, type VarlinkPeer } from '../../varlink/index.ts'
import { systemFailure } from '../errors.ts'
import type { WellKnown } from '../well-known.ts'

/** Who wants to read what. */
export interface AccessRequest {
  readonly peer: VarlinkPeer
  readonly details: { readonly wellKnown: WellKnown; readonly key?: string }
  /** Whether the user may be asked for a password. */
  readonly mayAsk: boolean
  readonly signal: AbortSignal
}

/** Resolves for who may; throws the error that he gets for who may not. */
export type Authorize = (request: AccessRequest) => Promise<void>

/** What polkit says. */
export type PolkitAnswer = 'yes' | 'no' | 'challenge'

/** Asks polkit for the action below; undefined where there is no system bus to ask it over. */
export type AskPolkit = (request: AccessRequest) => Promise<PolkitAnswer | undefined>

export const GET_ACTION = 'io.systemd.imds.get'

/** Root and the broker's own user may read everything, before the cache is looked at; all others are polkit's to judge. */
export function accessPolicy(ownUid: number, askPolkit: AskPolkit): Authorize {
  return async (request) => {
    const { uid } = request.peer
    if (uid === 0 || uid === ownUid) return
    const answer = uid === undefined ? 'no' : await askPolkit(request)
    if (answer === 'yes') return
    if (answer === undefined) throw systemFailure('ENOENT')
    if (answer === 'challenge') throw new VarlinkErrorReply('io.systemd.InteractiveAuthenticationRequired')
    throw new VarlinkErrorReply('org.varlink.service.PermissionDenied')
  }
}
