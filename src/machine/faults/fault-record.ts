import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One thing that was done to a machine on purpose. */
export interface FaultRecord {
  /** Milliseconds since 1970. */
  readonly at: number
  /** What was done: `link down`, `disk fault`, … */
  readonly what: string
  /** Everything that is needed to do it again. */
  readonly detail: Readonly<Record<string, unknown>>
}

/** In a machine's state directory: one record a line, over all its power-ons. */
const FILE = 'faults.jsonl'

/** Notes a fault beside the other evidence of the machine, before it is made. */
export async function recordFault(directory: string, what: string, detail: FaultRecord['detail'] = {}): Promise<void> {
  const record: FaultRecord = { at: Date.now(), what, detail }
  await appendFile(join(directory, FILE), `${JSON.stringify(record)}\n`)
}

/** All faults of a machine, running or stopped, in order. */
export async function recordedFaults({ directory }: { readonly directory: string }): Promise<FaultRecord[]> {
  const text = await readFile(join(directory, FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FaultRecord)
}
