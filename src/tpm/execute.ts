import { BANK_ALGORITHMS } from './algorithms.ts'
import { checkResponse, command, HEADER_BYTES, ST_NO_SESSIONS, ST_SESSIONS, sized, u16, words } from './commands.ts'
import type { PcrBank } from './swtpm.ts'
import { TpmReader } from './tpm-reader.ts'

/** Gives a TPM a command, and resolves with its answer. What carries them is up to whoever makes it. */
export type TpmSend = (command: Buffer) => Promise<Buffer>

/** The password of what has none (TPM_RS_PW). */
export const PASSWORD = 0x40000009
/** The session is there for the next command, too (TPMA_SESSION). */
const CONTINUE_SESSION = 1
const SELECT_BYTES = 3

export interface TpmCommand {
  /** For errors, as the specification spells it. */
  readonly name: string
  readonly code: number
  readonly handles?: readonly number[]
  /** One for each handle that needs an authorization: {@link PASSWORD}, or a policy session. */
  readonly sessions?: readonly number[]
  readonly parameters?: readonly Uint8Array[]
  readonly answersHandle?: boolean
}

/**
 * Lays out a command (TPM 2.0 Part 1, 18 "Commands and Responses"), sends it and opens the answer. Rejects with
 * `TPM_REFUSED` and what the TPM said, and with `MALFORMED_INPUT` for an answer that is none.
 */
export async function execute(
  send: TpmSend,
  { name, code, handles = [], sessions = [], parameters = [], answersHandle = false }: TpmCommand,
): Promise<{ readonly handle: number; readonly answer: TpmReader }> {
  const areas = sessions.map((session) =>
    Buffer.concat([words(session), sized(), Buffer.of(CONTINUE_SESSION), sized()]),
  )
  const area = Buffer.concat(areas)
  const authorization = sessions.length === 0 ? [] : [words(area.length), area]
  const tag = sessions.length === 0 ? ST_NO_SESSIONS : ST_SESSIONS
  const response = await send(command(tag, code, Buffer.concat([words(...handles), ...authorization, ...parameters])))
  checkResponse(name, response)
  const answer = new TpmReader(response, name)
  answer.bytes(HEADER_BYTES, 'header')
  const handle = answersHandle ? answer.u32('handle') : 0
  if (sessions.length > 0) answer.u32('parameterSize')
  return { handle, answer }
}

/** TPML_PCR_SELECTION of one bank. */
export function pcrSelection(bank: PcrBank, pcrs: readonly number[]): Buffer {
  const selected = Buffer.alloc(SELECT_BYTES)
  for (const pcr of pcrs) selected[pcr >> 3] = (selected[pcr >> 3] ?? 0) | (1 << (pcr & 7))
  return Buffer.concat([words(1), u16(BANK_ALGORITHMS[bank].id), Buffer.of(SELECT_BYTES), selected])
}
