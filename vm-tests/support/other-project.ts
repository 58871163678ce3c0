import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { processStart } from '../../src/system/index.ts'
import { cacheDirectory } from '../../src/toolchain/index.ts'
import { builtImage, CHECKOUT } from './scene.ts'

/**
 * The environment of somebody who is not in a test: without what Vitest and `bootwright test` say to their workers, above
 * all the project, with the Node that runs us.
 */
export function strangersEnvironment(): Record<string, string | undefined> {
  const own = /^(?:VITEST|NODE_ENV$|BOOTWRIGHT_(?!CACHE$))/
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
  return { ...env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` }
}

const PREFIX = 'other-project-'

function ownerName(pid: number): string {
  return `${pid}-${processStart(pid)}`
}

/** Removes what test runs left that were killed. */
async function removeLeft(): Promise<void> {
  for (const name of await readdir(cacheDirectory())) {
    const owner = name.startsWith(PREFIX) ? /^((\d+)-\d+)-/.exec(name.slice(PREFIX.length)) : null
    if (owner === null || owner[1] === ownerName(Number(owner[2]))) continue
    await rm(join(cacheDirectory(), name), { recursive: true, force: true })
  }
}

/** Somebody else's repository, with an image of its own. */
export class OtherProject implements AsyncDisposable {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  /** With images of this checkout, which are not built again. */
  static async make(
    files: Readonly<Record<string, string>> = {},
    images: readonly string[] = ['minimal'],
  ): Promise<OtherProject> {
    await mkdir(cacheDirectory(), { recursive: true })
    await removeLeft()
    const project = new OtherProject(await mkdtemp(join(cacheDirectory(), `${PREFIX}${ownerName(process.pid)}-`)))
    await cp(join(CHECKOUT, 'mkosi.conf.d'), project.path('mkosi.conf.d'), { recursive: true })
    await mkdir(project.path('out'))
    for (const image of images) {
      const { directory: built } = await builtImage(image)
      await cp(join(CHECKOUT, 'images', image), project.path('images', image), { recursive: true })
      await symlink(dirname(built), project.path('out', image))
    }
    for (const [name, text] of Object.entries(files)) await project.write(name, text)
    return project
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts)
  }

  async write(name: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true })
    await writeFile(this.path(name), text)
  }

  /** Runs a program in it, with the Node that runs us; both streams as one. */
  async run(...argv: string[]): Promise<{ exitCode: number; output: string }> {
    const [file = '', ...args] = argv
    const child = spawn(file, args, {
      cwd: this.directory,
      env: { ...strangersEnvironment(), NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
      })
    }
    const [exitCode] = (await once(child, 'close')) as [number | null]
    return { exitCode: exitCode ?? -1, output }
  }

  /** Files below `out/runs/<id>/`, of the only run there is. */
  async evidence(): Promise<string[]> {
    const runs = await readdir(this.path('out/runs')).catch(() => [])
    if (runs.length === 0) return []
    if (runs.length > 1) throw new Error(`expected one run, found ${runs.join(', ')}`)
    const files = await readdir(this.path('out/runs', runs[0] ?? ''), { recursive: true, withFileTypes: true })
    return files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(this.path('out/runs', runs[0] ?? '').length + 1))
      .sort()
  }

  async readEvidence(name: string): Promise<string> {
    return readFile(await this.evidencePath(name), 'utf8')
  }

  /** Where a piece of the evidence of the only run is. */
  async evidencePath(name: string): Promise<string> {
    const [run = ''] = await readdir(this.path('out/runs'))
    return this.path('out/runs', run, name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }
}
