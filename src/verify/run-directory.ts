import { randomBytes } from 'node:crypto'
import { cp, mkdir, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** Where a run keeps its results: `out/runs/<id>/`. */
export interface RunDirectory {
  readonly id: string
  readonly path: string
  /** Writes a file aside and renames it. */
  write(name: string, content: string | Uint8Array): Promise<void>
  /** Copies the small files of a machine's state directory: its console and logs. */
  collect(stateDirectory: string): Promise<void>
}

const LOGS = ['console.log', 'qemu.log', 'qmp.log', 'tpm.log', 'machine.json']

/** Makes the directory of a new run; its id sorts by time. */
export async function makeRunDirectory(parent: string, now: Date): Promise<RunDirectory> {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const id = `${time}-${randomBytes(2).toString('hex')}`
  const path = join(parent, id)
  await mkdir(path, { recursive: true })
  return {
    id,
    path,
    async write(name, content) {
      const aside = join(path, `.${basename(name)}.new`)
      await writeFile(aside, content)
      await rename(aside, join(path, name))
    },
    async collect(stateDirectory) {
      // A machine that never got far has not all of them.
      await Promise.all(LOGS.map((name) => cp(join(stateDirectory, name), join(path, name)).catch(() => undefined)))
    },
  }
}
