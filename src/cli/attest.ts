import { Command } from 'commander'
import {
  type AttestationReport,
  attestationHolds,
  attestationReport,
  attestationText,
  type Expectation,
  judgeEvidence,
  parsePcrFile,
  parsePredictionFile,
  parseQuoteFiles,
} from '../attest/index.ts'
import { parseEventLog, parseUserspaceLog } from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'
import { MAX_NONCE_BYTES, type PcrBank } from '../tpm/index.ts'
import type { AttestMachineOptions } from './attest-machine.ts'
import { readInput } from './input-file.ts'
import { parsePcrs } from './predict-output.ts'
import { withToolchainOptions } from './toolchain-options.ts'

interface QuoteFileOptions {
  readonly quote?: string
  readonly signature?: string
  readonly key?: string
  readonly values?: string
  readonly eventLog?: string
  readonly userspace?: string
  readonly prediction?: string
}

interface AttestOptions extends AttestMachineOptions, QuoteFileOptions {
  readonly json: boolean
}

const BANKS: readonly PcrBank[] = ['sha1', 'sha256', 'sha384', 'sha512']
/** Names of the options that are about files. */
const FILE_OPTIONS = ['signature', 'key', 'values', 'eventLog', 'userspace', 'prediction'] as const

export function attestCommand(signal: AbortSignal): Command {
  return withToolchainOptions(new Command('attest'))
    .summary('have a machine prove how it booted, or judge the quote of another; exit status 1 when it does not hold')
    .argument('[image]', 'name of the image; not with --quote')
    .option('--cloud <name>', 'the cloud to boot in, or none', 'aws')
    .option('--firmware <name>', 'the firmware variant', 'plain')
    .option('--no-sign', 'leave the image unsigned, whatever the firmware wants')
    .option('--bank <name>', 'the PCR bank to quote', parseBank, 'sha256')
    .option('--pcrs <list>', 'the PCRs to quote: 0-7,11; all without', parsePcrs)
    .option('--nonce <hex>', 'what the quote has to repeat; random for a machine without', parseNonce)
    .option('--quote <file>', 'judge this quote: the message of tpm2_quote')
    .option('--signature <file>', 'its signature')
    .option('--key <file>', 'the public key that it is to be signed with')
    .option('--values <file>', 'the PCR values that it is about: of tpm2_quote, or JSON')
    .option('--event-log <file>', "the firmware's event log of that boot")
    .option('--userspace <file>', "systemd's log of that boot, tpm2-measure.log")
    .option('--prediction <file>', 'what predict --json wrote')
    .option('--json', 'print the report as JSON', false)
    .action(async (image: string | undefined, options: AttestOptions) => {
      checkOptions(image, options)
      const report =
        options.quote === undefined
          ? await (await import('./attest-machine.ts')).attestMachine(image ?? 'cloud', options, signal)
          : await attestFiles({ ...options, quote: options.quote })
      if (!attestationHolds(report)) process.exitCode = 1
      process.stdout.write(
        options.json
          ? `${JSON.stringify(report)}\n`
          : attestationText(report, { isColored: process.stdout.hasColors?.() === true }),
      )
    })
}

function checkOptions(image: string | undefined, options: AttestOptions): void {
  const { quote, signature, key } = options
  if (quote === undefined) {
    const given = FILE_OPTIONS.find((name) => options[name] !== undefined)
    if (given === undefined) return
    throw new BootwrightError('INVALID_ARGUMENT', 'Files of a quote were given without the quote itself', {
      hint: 'Add --quote FILE, --signature FILE and --key FILE.',
    })
  }
  if (image !== undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected an image or --quote, found both: ${image} and ${quote}`, {
      hint: 'To judge a quote against an image: predict IMAGE --json --output FILE, then attest --quote … --prediction FILE.',
    })
  }
  if (signature === undefined || key === undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', 'A quote proves nothing without its signature and a key', {
      hint: 'Give --signature FILE and --key FILE.',
    })
  }
}

async function attestFiles(
  options: QuoteFileOptions & Pick<AttestOptions, 'nonce'> & { readonly quote: string },
): Promise<AttestationReport> {
  const { quote, signature = '', key = '', values, eventLog, userspace, prediction, nonce } = options
  const [message, signed, publicKey] = await Promise.all([readInput(quote), readInput(signature), readInput(key)])
  const log = eventLog === undefined ? undefined : parseEventLog((await readInput(eventLog)).bytes)
  const words = userspace === undefined ? undefined : await readInput(userspace)
  const userspaceLog = words === undefined ? undefined : parseUserspaceLog(words.bytes, { fileMode: words.mode })
  const evidence = {
    quote: parseQuoteFiles(message.bytes, signed.bytes, publicKey.bytes),
    values: values === undefined ? undefined : parsePcrFile((await readInput(values)).bytes),
    logs: log === undefined ? undefined : { log, ...(userspaceLog === undefined ? {} : { userspaceLog }) },
  }
  const expected: Expectation = {
    nonce,
    pcrs: prediction === undefined ? undefined : parsePredictionFile((await readInput(prediction)).bytes.toString()),
  }
  return attestationReport(evidence, judgeEvidence(evidence, expected))
}

function parseBank(name: string): PcrBank {
  const bank = BANKS.find((one) => one === name)
  if (bank !== undefined) return bank
  throw new BootwrightError('INVALID_ARGUMENT', `Expected one of ${BANKS.join(', ')} for --bank, found "${name}"`)
}

function parseNonce(text: string): Buffer {
  if (/^([0-9a-f]{2})+$/i.test(text) && text.length <= 2 * MAX_NONCE_BYTES) return Buffer.from(text, 'hex')
  const range = `1 to ${MAX_NONCE_BYTES} bytes in hexadecimal`
  throw new BootwrightError('INVALID_ARGUMENT', `Expected ${range} for --nonce, found "${text.slice(0, 80)}"`)
}
