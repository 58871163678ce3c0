import { createHash } from 'node:crypto'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../system/index.ts'
import type { Cache } from '../toolchain/index.ts'
import { bundle } from './bundle.ts'
import { HASH_WORKER_ASSET } from './measure/hash-thread.ts'

/**
 * The guest tools as one executable, made unless it is there already: Node with our program in it, so that an image needs
 * no runtime of its own. It becomes the tool whose name it is called by; called otherwise, its first argument names it.
 */
export async function guestToolsProgram(
  cache: Cache,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const [main, worker] = await Promise.all([bundle('main'), bundle('measure/hash-worker')])
  const inputs = [process.version, process.arch, main, worker]
  const identity = createHash('sha256').update(inputs.join('\0')).digest('hex').slice(0, 16)
  const entry = await cache.entry(
    'guest-tools',
    identity,
    (directory) => make(directory, main, worker, options.signal),
    {
      signal: options.signal,
    },
  )
  return join(entry, PROGRAM)
}

const PROGRAM = 'bootwright-guest-tools'

async function make(directory: string, main: string, worker: string, signal: AbortSignal | undefined): Promise<void> {
  const file = (name: string): string => join(directory, name)
  const [source, thread, configuration] = [file('main.js'), file('worker.js'), file('sea.json')]
  await writeFile(source, main)
  await writeFile(thread, worker)
  await writeFile(
    configuration,
    JSON.stringify({
      main: source,
      output: file(PROGRAM),
      assets: { [HASH_WORKER_ASSET]: thread },
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      // What the caller's environment says to Node is not said to us.
      execArgvExtension: 'none',
    }),
  )
  await run({ argv: [process.execPath, '--build-sea', configuration] }, { signal })
  await chmod(file(PROGRAM), 0o755)
  for (const input of [source, thread, configuration]) await rm(input)
}
