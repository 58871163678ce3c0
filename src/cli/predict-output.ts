import { createPrivateKey, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  canonicalEventLog,
  type HashAlgorithm,
  keylimePolicy,
  PCR_COUNT,
  pcrlockFiles,
  pcrSignatures,
  type ReferenceValues,
  referenceValues,
} from '../measure/index.ts'
import { isComplete, type PredictedMachine, predictionJson, predictionText } from '../report/index.ts'
import { BootwrightError, unknownName } from '../system/index.ts'

const FORMATS = ['text', 'json', 'cel', 'pcrlock', 'keylime', 'pcrsig'] as const
export type PredictFormat = (typeof FORMATS)[number]

export interface PredictOutputOptions {
  readonly format: PredictFormat
  /** A file; of `pcrlock` a directory. Standard output without it. */
  readonly output?: string | undefined
  /** All without it. */
  readonly pcrs?: readonly number[] | undefined
  readonly privateKey?: string | undefined
  readonly policyref?: string | undefined
}

export function parsePredictFormat(name: string): PredictFormat {
  const format = FORMATS.find((one) => one === name)
  if (format === undefined) throw unknownName('format', name, FORMATS)
  return format
}

/** `0-7,11`. */
export function parsePcrs(text: string): number[] {
  const pcrs = text.split(',').flatMap((part) => {
    const [, first = '', last = first] = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(part) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (first === '' || to < from || to >= PCR_COUNT) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected PCRs such as 0-7,11 for --pcrs, found "${text}"`)
    }
    return Array.from({ length: to - from + 1 }, (_, index) => from + index)
  })
  return [...new Set(pcrs)].sort((a, b) => a - b)
}

/** What can be wrong with the options, before anything is set up. */
export function checkPredictOutput({ format, output, privateKey }: PredictOutputOptions): void {
  if (format === 'pcrlock' && output === undefined) {
    throw new BootwrightError(
      'INVALID_ARGUMENT',
      'Components of pcrlock are several files, expected --output DIRECTORY',
    )
  }
  if (format === 'pcrlock' && output !== undefined && existsSync(output)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected no ${output} yet, found that it exists`, {
      hint: 'Components that are no longer right would stay beside the new ones: remove it, or name another directory.',
    })
  }
  if ((format === 'pcrsig') !== (privateKey !== undefined)) {
    throw new BootwrightError('INVALID_ARGUMENT', 'Expected --private-key FILE with --format pcrsig, and only there')
  }
}

/** Writes the prediction; resolves with whether all that was asked for is in it. */
export async function writePrediction(machine: PredictedMachine, options: PredictOutputOptions): Promise<boolean> {
  const { format, pcrs, output } = options
  if (format === 'text' || format === 'json') {
    const events = machine.events.filter(({ pcr }) => pcrs?.includes(pcr) ?? true)
    const shown = { ...machine, events }
    await put(format === 'json' ? `${JSON.stringify(predictionJson(shown))}\n` : predictionText(shown), output)
    return isComplete(shown) && machine.refusal === undefined
  }
  const reference = referenceValues(machine.events, machine.banks, pcrs)
  const leftOut = await writeReference(reference, machine.banks, options)
  for (const { pcr, why } of leftOut) process.stderr.write(`PCR ${pcr} is left out: ${why}\n`)
  return leftOut.length === 0 && machine.refusal === undefined
}

async function writeReference(
  reference: ReferenceValues,
  banks: readonly HashAlgorithm[],
  { format, output, privateKey = '', policyref }: PredictOutputOptions,
): Promise<ReferenceValues['leftOut']> {
  const { leftOut } = reference
  switch (format) {
    case 'cel': {
      const log = canonicalEventLog(reference)
      await put(`${JSON.stringify(log.records, null, 2)}\n`, output)
      return log.leftOut
    }
    case 'keylime': {
      const bank = banks.includes('sha256') ? 'sha256' : (banks[0] ?? 'sha256')
      await put(`${JSON.stringify(keylimePolicy(reference, bank), null, 2)}\n`, output)
      return leftOut
    }
    case 'pcrsig':
      await put(`${JSON.stringify(pcrSignatures(reference, await readKey(privateKey), policyref), null, 2)}\n`, output)
      return leftOut
    default:
      await putComponents(reference, output ?? '')
      return leftOut
  }
}

async function readKey(path: string): Promise<KeyObject> {
  try {
    return createPrivateKey(await readFile(path))
  } catch (cause) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a private key in ${path}: ${(cause as Error).message}`, {
      cause,
      hint: 'Make one: openssl genrsa -out key.pem 2048.',
    })
  }
}

async function put(text: string, path: string | undefined): Promise<void> {
  if (path === undefined) {
    process.stdout.write(text)
    return
  }
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

async function putComponents(reference: ReferenceValues, directory: string): Promise<void> {
  const aside = `${directory}.new`
  await rm(aside, { recursive: true, force: true })
  for (const { path, content } of pcrlockFiles(reference)) {
    await mkdir(dirname(join(aside, path)), { recursive: true })
    await writeFile(join(aside, path), content)
  }
  await rename(aside, directory)
}
