import { sized, u16, words } from './commands.ts'
import { execute, PASSWORD, type TpmSend } from './execute.ts'
import { RH_OWNER } from './primary.ts'
import { TpmReader } from './tpm-reader.ts'

const CC_NV_UNDEFINE_SPACE = 0x122
const CC_NV_DEFINE_SPACE = 0x12a
const CC_NV_WRITE = 0x137
const CC_NV_READ = 0x14e
const CC_NV_READ_PUBLIC = 0x169
/** TPM_PT_NV_BUFFER_MAX is at least this. */
const MAX_READ_BYTES = 512
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

/** How many bytes an NV index has (TPM2_NV_ReadPublic). */
export async function nvSize(send: TpmSend, index: number): Promise<number> {
  const { answer } = await execute(send, { name: 'TPM2_NV_ReadPublic', code: CC_NV_READ_PUBLIC, handles: [index] })
  const area = new TpmReader(answer.sized('nvPublic'), 'TPMS_NV_PUBLIC')
  area.expect(area.u32('nvIndex'), index, 'nvIndex')
  area.u16('nameAlg')
  area.u32('attributes')
  area.sized('authPolicy')
  return area.u16('dataSize')
}

/**
 * Reads from an offset (TPM2_NV_Read).
 *
 * @param authority who reads: the owner, or the index itself
 */
export async function readNv(
  send: TpmSend,
  index: number,
  bytes: number,
  offset = 0,
  authority: number = RH_OWNER,
): Promise<Buffer> {
  const parts: Buffer[] = []
  let read = 0
  do {
    const length = Math.min(bytes - read, MAX_READ_BYTES)
    const { answer } = await execute(send, {
      name: 'TPM2_NV_Read',
      code: CC_NV_READ,
      handles: [authority, index],
      sessions: [PASSWORD],
      parameters: [u16(length, offset + read)],
    })
    const part = Buffer.from(answer.sized('data'))
    answer.expect(part.length, length, 'size of data')
    parts.push(part)
    read += length
  } while (read < bytes)
  return Buffer.concat(parts)
}
