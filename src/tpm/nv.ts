import { sized, u16, words } from './commands.ts'
import { execute, PASSWORD, type TpmSend } from './execute.ts'

const CC_NV_UNDEFINE_SPACE = 0x122
const CC_NV_DEFINE_SPACE = 0x12a
const CC_NV_WRITE = 0x137
const CC_NV_READ = 0x14e
const RH_OWNER = 0x40000001
const ALG_SHA256 = 0x000b
/** The owner writes and reads; no dictionary attack protection (TPMA_NV: OWNERWRITE, OWNERREAD, NO_DA). */
const OWNERS = (1 << 1) | (1 << 17) | (1 << 25)

/** Makes an NV index of the owner's with room for so many bytes (TPM2_NV_DefineSpace). */
export async function defineNv(send: TpmSend, index: number, bytes: number): Promise<void> {
  const area = Buffer.concat([words(index), u16(ALG_SHA256), words(OWNERS), sized(), u16(bytes)])
  await execute(send, {
    name: 'TPM2_NV_DefineSpace',
    code: CC_NV_DEFINE_SPACE,
    handles: [RH_OWNER],
    sessions: [PASSWORD],
    parameters: [sized(), sized(area)],
  })
}

/** Removes an NV index of the owner's (TPM2_NV_UndefineSpace). */
export async function undefineNv(send: TpmSend, index: number): Promise<void> {
  await execute(send, {
    name: 'TPM2_NV_UndefineSpace',
    code: CC_NV_UNDEFINE_SPACE,
    handles: [RH_OWNER, index],
    sessions: [PASSWORD],
  })
}

/** Writes at an offset (TPM2_NV_Write). */
export async function writeNv(send: TpmSend, index: number, content: Uint8Array, offset = 0): Promise<void> {
  await execute(send, {
    name: 'TPM2_NV_Write',
    code: CC_NV_WRITE,
    handles: [RH_OWNER, index],
    sessions: [PASSWORD],
    parameters: [sized(content), u16(offset)],
  })
}

/** Reads from an offset (TPM2_NV_Read). */
export async function readNv(send: TpmSend, index: number, bytes: number, offset = 0): Promise<Buffer> {
  const { answer } = await execute(send, {
    name: 'TPM2_NV_Read',
    code: CC_NV_READ,
    handles: [RH_OWNER, index],
    sessions: [PASSWORD],
    parameters: [u16(bytes, offset)],
  })
  return Buffer.from(answer.sized('data'))
}
