import { sized, words } from './commands.ts'
import { execute, PASSWORD, type TpmSend } from './execute.ts'
import { type PublicArea, parsePublicArea } from './public-area.ts'

const CC_CREATE_PRIMARY = 0x131

/** Hierarchies (TPM 2.0 Part 2, 7.4 "TPM_RH"). */
export const RH_OWNER = 0x40000001
export const RH_ENDORSEMENT = 0x4000000b

/** A key that the TPM holds, by its handle. */
export interface LoadedKey extends PublicArea {
  readonly handle: number
}

/** Makes the key that a hierarchy has for this template: the same one each time (TPM2_CreatePrimary). */
export async function createPrimary(send: TpmSend, hierarchy: number, template: Uint8Array): Promise<LoadedKey> {
  const { handle, answer } = await execute(send, {
    name: 'TPM2_CreatePrimary',
    code: CC_CREATE_PRIMARY,
    handles: [hierarchy],
    sessions: [PASSWORD],
    parameters: [sized(sized(), sized()), sized(template), sized(), words(0)],
    answersHandle: true,
  })
  return { handle, ...parsePublicArea(Buffer.from(answer.sized('outPublic'))) }
}
