import { BootwrightError, runUnchecked } from '../system/index.ts'

/** The oldest Python that mkosi 27 runs on. */
export const OLDEST_PYTHON = [3, 9] as const

export interface Python {
  readonly path: string
  readonly version: string
}

/** The host's Python, the system's own before one that a user's PATH puts in front (version managers start slowly). */
export async function findPython(candidates: readonly string[] = ['/usr/bin/python3', 'python3']): Promise<Python> {
  const tooOld: string[] = []
  for (const path of candidates) {
    try {
      const result = await runUnchecked({
        argv: [path, '-I', '-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])'],
      })
      const version = result.stdout.trim()
      if (result.exitCode === 0 && isAtLeast(version, OLDEST_PYTHON)) return { path, version }
      tooOld.push(`${path} is ${version || 'broken'}`)
    } catch {
      // Not there: the next one may be.
    }
  }
  const found = tooOld.length === 0 ? 'there is none' : tooOld.join(', ')
  throw new BootwrightError('TOOL_MISSING', `mkosi needs Python ${OLDEST_PYTHON.join('.')} or newer, but ${found}`, {
    hint: 'Install python3 (Debian: apt-get install python3).',
  })
}

/** Compares dotted numbers; what follows the numbers does not count. */
export function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const numbers = (/\d+(?:\.\d+)*/.exec(version)?.[0] ?? '').split('.').map(Number)
  for (const [index, want] of wanted.entries()) {
    const have = numbers[index] ?? 0
    if (Number.isNaN(have) || have < want) return false
    if (have > want) return true
  }
  return version !== ''
}
