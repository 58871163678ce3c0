import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError } from '../system/index.ts'

const OWNER_FILE = 'owner'

/**
 * Where a machine keeps its overlay disk, variable store, TPM state and logs.
 *
 * It names its owner: a process that is gone without having tidied up leaves a directory that the next start removes.
 */
export interface StateDirectory extends AsyncDisposable {
  readonly path: string
  /** From now on the directory stays, whoever ends. */
  keep(): Promise<void>
}

export async function makeStateDirectory(parent: string, name: string): Promise<StateDirectory> {
  const path = join(parent, name)
  await mkdir(parent, { recursive: true })
  try {
    await mkdir(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new BootwrightError('INVALID_ARGUMENT', `There is a machine "${name}" already: ${path} exists`, {
      cause,
      hint: 'Give the machine another name, or remove that directory if it was kept and is not needed any more.',
    })
  }
  await writeFile(join(path, OWNER_FILE), `${process.pid} ${startTime(process.pid)}\n`)
  let isKept = false
  return {
    path,
    async keep() {
      isKept = true
      await rm(join(path, OWNER_FILE), { force: true })
    },
    async [Symbol.asyncDispose]() {
      if (!isKept) await rm(path, { recursive: true, force: true })
    },
  }
}

/** Removes what processes left that did not live to do it. Returns the names removed. */
export async function reapStateDirectories(parent: string): Promise<string[]> {
  const removed: string[] = []
  for (const name of await readdir(parent).catch(() => [])) {
    const owner = await readFile(join(parent, name, OWNER_FILE), 'utf8').catch(() => undefined)
    if (owner === undefined) continue
    const [pid, started] = owner.trim().split(' ')
    // A file without a start time was cut by the end of its writer.
    if (started !== undefined && startTime(Number(pid)) === started) continue
    await rm(join(parent, name), { recursive: true, force: true })
    removed.push(name)
  }
  return removed
}

/** When a process started, in clock ticks since boot; with its number this names it for good. Undefined when it is gone. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // proc_pid_stat(5): field 22; the second one is in parentheses and may contain anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
