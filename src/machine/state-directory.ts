import { readFileSync, readlinkSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BootwrightError, processStart } from '../system/index.ts'

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
  // Never there by half: whoever reaps finds no owner, or a whole one.
  await writeFile(
    join(path, `${OWNER_FILE}.new`),
    `${process.pid} ${processStart(process.pid)} ${processNamespace()}\n`,
  )
  await rename(join(path, `${OWNER_FILE}.new`), join(path, OWNER_FILE))
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
    const [pid, started, namespace] = owner.trim().split(' ')
    // A file without all of it was cut by the end of the host.
    if (started !== undefined && processStart(Number(pid)) === started) continue
    // The owner may live where we cannot see it: a container that shares the cache.
    if (namespace !== undefined && namespace !== processNamespace() && wasBootedWithUs(namespace)) continue
    await rm(join(parent, name), { recursive: true, force: true })
    removed.push(name)
  }
  return removed
}

/** Where process numbers mean what they mean to us: this boot of the host, and our process namespace. */
function processNamespace(): string {
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/pid')}`
}

function wasBootedWithUs(namespace: string): boolean {
  return namespace.split('/')[0] === processNamespace().split('/')[0]
}
