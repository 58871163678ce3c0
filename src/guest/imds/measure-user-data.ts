import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runUnchecked } from '../../system/index.ts'
import { connectVarlink } from '../../varlink/index.ts'

/** For what the kernel is configured with. */
const PCR = 12
/** How much of the user data is in the record itself. */
const SHOWN_BYTES = 256
const PROGRAM = '/usr/lib/systemd/systemd-pcrextend'
const EXTEND = 'io.systemd.PCRExtend.Extend'

/** What is measured of user data. */
export function userDataWord(userData: Uint8Array): string {
  const digest = createHash('sha256').update(userData).digest('hex')
  return `imds-userdata:${digest}:${Buffer.from(userData.subarray(0, SHOWN_BYTES)).toString('base64')}`
}

/** Measures user data into PCR 12, by systemd's own service or program, which also keep the log of it. Rejects when neither can. */
export async function measureUserData(userData: Uint8Array, runDirectory: string): Promise<void> {
  const text = userDataWord(userData)
  const socket = join(runDirectory, 'systemd/io.systemd.PCRExtend')
  if (existsSync(socket)) {
    await using service = await connectVarlink(socket)
    const call = { pcr: PCR, text }
    try {
      await service.call(EXTEND, { ...call, eventType: 'imds_userdata' })
    } catch {
      // Before 261 it knows neither the type nor, still earlier, any.
      await service.call(EXTEND, call)
    }
    return
  }
  if (!existsSync(PROGRAM)) return
  const { exitCode, stderr } = await runUnchecked({ argv: [PROGRAM, '--graceful', `--pcr=${PCR}`, text] })
  if (exitCode !== 0) throw new Error(stderr.trim())
}
