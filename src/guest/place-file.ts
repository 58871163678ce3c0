import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Writes a file aside and renames it into its place, whose directories are made where they are missing. */
export function placeFile(path: string, content: string | Uint8Array, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  const aside = join(dirname(path), `.#${randomBytes(8).toString('hex')}`)
  try {
    writeFileSync(aside, content, { mode, flag: 'wx' })
    chmodSync(aside, mode)
    renameSync(aside, path)
  } catch (error) {
    try {
      unlinkSync(aside)
    } catch {
      // It was not made.
    }
    throw error
  }
}
