import { readFileSync } from 'node:fs'

/**
 * When a process started, in clock ticks since the host did: with its number this names it for good. Undefined when there
 * is no such process (any more).
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // proc_pid_stat(5): field 22; the second one is in parentheses and may contain anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
