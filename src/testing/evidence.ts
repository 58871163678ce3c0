import { existsSync } from 'node:fs'
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { RunningMachine } from '../machine/index.ts'
import { type Answering, printed, readFirmwareLog, readPcrs, readUserspaceLog } from '../scene/index.ts'
import { run } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'
import { within } from './within.ts'

/** What is left of a machine for whoever has to find out why a test failed. */
export interface EvidenceSource {
  /** The machine's own directory: console and logs of QEMU and TPM. */
  readonly stateDirectory: string
  /** Somebody in the guest answers. */
  readonly guest: Answering | undefined
  readonly qmp: RunningMachine['qmp'] | undefined
  /** The metadata service's exchanges, one JSON object a line. */
  readonly transcript: string | undefined
  readonly calls: readonly string[]
  readonly toolchain: Toolchain
}

const LOGS = ['console.log', 'qemu.log', 'qmp.log', 'tpm.log', 'machine.json']
/** Only there where something was made to go wrong. */
const FAULTS = 'faults.jsonl'
const ANSWER_MS = 30_000
const CORES = '/var/lib/systemd/coredump'
/** Dumped cores are compressed; the first few of a crash loop tell it. */
const MAX_CORES = 3

/** One file of the evidence that the guest gives. */
interface Question {
  readonly file: string
  ask(guest: Answering): Promise<Uint8Array | string | undefined>
}

const QUESTIONS: readonly Question[] = [
  {
    file: 'journal.export',
    ask: (guest) => printed(guest, ['journalctl', '--boot', '--no-pager', '--output=export']),
  },
  { file: 'event-log.bin', ask: readFirmwareLog },
  { file: 'tpm2-measure.log', ask: readUserspaceLog },
  {
    file: 'pcrs.json',
    async ask(guest) {
      const banks = await readPcrs(guest)
      return banks === undefined ? undefined : `${JSON.stringify(banks, null, 2)}\n`
    },
  },
  { file: 'coredumps.txt', ask: (guest) => printed(guest, ['coredumpctl', '--no-pager', 'info']) },
]

/**
 * Writes everything that can still be had into a directory. What could not be had is listed in `missing.txt` with the
 * reason: a broken guest must not keep the rest back. Never rejects because of the guest.
 */
export async function keepEvidence(directory: string, source: EvidenceSource): Promise<void> {
  await mkdir(directory, { recursive: true })
  const missing: string[] = []
  const put = async (file: string, content: Uint8Array | string) => {
    const aside = join(directory, `.${file}.new`)
    await writeFile(aside, content)
    await rename(aside, join(directory, file))
  }
  const attempt = async (file: string, work: () => Promise<unknown>) => {
    try {
      await work()
    } catch (error) {
      missing.push(`${file}: ${error instanceof Error ? error.message.split('\n', 1)[0] : String(error)}`)
    }
  }
  await put('calls.txt', `${source.calls.join('\n')}\n`)
  if (source.transcript !== undefined) await put('metadata-transcript.jsonl', source.transcript)
  const { guest, qmp } = source
  if (qmp !== undefined && !qmp.isClosed) {
    const filename = join(directory, 'screen.png')
    await attempt('screen.png', () => qmp.execute('screendump', { filename, format: 'png' }))
  }
  let isSilent = guest === undefined
  for (const { file, ask } of QUESTIONS) {
    await attempt(file, async () => {
      if (guest === undefined || isSilent) throw new Error('nobody in the guest answers')
      const content = await within(ANSWER_MS, `for ${file}`, ask(guest)).catch((error: unknown) => {
        isSilent = true
        throw error
      })
      if (content === undefined) throw new Error('the guest has none')
      await put(file, content)
    })
  }
  await attempt('journal.journal', () => makeJournalFile(directory, source.toolchain))
  if (guest !== undefined && !isSilent) await attempt('coredumps', () => keepCores(guest, put))
  // Last, with what all the asking has added.
  const faults = existsSync(join(source.stateDirectory, FAULTS)) ? [FAULTS] : []
  for (const name of [...LOGS, ...faults]) {
    await attempt(name, () => copyFile(join(source.stateDirectory, name), join(directory, name)))
  }
  if (missing.length > 0) await put('missing.txt', `${missing.join('\n')}\n`)
}

/** A file for `journalctl --file` in place of the export, which stays where it cannot be made. */
async function makeJournalFile(directory: string, toolchain: Toolchain): Promise<void> {
  const exported = join(directory, 'journal.export')
  // What is missing was told already.
  if (!existsSync(exported)) return
  const program = '/usr/lib/systemd/systemd-journal-remote'
  const file = join(directory, 'journal.journal')
  await run(toolchain.command([program, `--output=${file}`, '--compress=no', resolve(exported)]))
  await rm(exported)
}

async function keepCores(guest: Answering, put: (file: string, content: Uint8Array) => Promise<void>): Promise<void> {
  const listed = await within(ANSWER_MS, 'for its coredumps', printed(guest, ['ls', '-1t', CORES]))
  for (const name of (listed?.toString() ?? '').split('\n').filter(Boolean).slice(0, MAX_CORES)) {
    const bytes = await within(ANSWER_MS, `for ${name}`, printed(guest, ['cat', '--', `${CORES}/${name}`]))
    if (bytes !== undefined) await put(name.replaceAll(/[^\w.@-]/g, '_'), bytes)
  }
}
