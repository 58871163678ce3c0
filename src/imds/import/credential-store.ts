import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Puts a credential where services look for it (systemd.exec(5), `ImportCredential=`). Whole or not at all; one that is there
 * already stays as it is, which is what false says.
 */
export function storeCredential(directory: string, name: string, content: Uint8Array): boolean {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const aside = join(directory, `.#${randomBytes(8).toString('hex')}`)
  writeFileSync(aside, content, { mode: 0o400, flag: 'wx' })
  try {
    chmodSync(aside, 0o400)
    // Unlike a renaming, a link replaces nothing.
    linkSync(aside, join(directory, name))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(aside)
  }
}
