import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  DEFAULT_PHASE_PATHS,
  KERNEL_BOOT_PCR,
  keyFingerprint,
  MEASURED_SECTIONS,
  type Pcr11Value,
  pcr11OfDigests,
  policyPcr,
  signedContent,
  signPolicy,
} from '../../measure/index.ts'
import { colored } from '../colors.ts'
import { formatJson } from '../json-format.ts'
import { errnoText, ToolFailure } from '../tool-failure.ts'
import type { ToolOutput } from '../tool-output.ts'
import { policyBank } from './banks.ts'
import { hashSections } from './hash-sections.ts'
import { HELP } from './help.ts'
import { readCertificateKey, readPrivateKey, readPublicKey, type Signer } from './keys.ts'
import { opensslCertificateKey, opensslSigner } from './openssl.ts'
import { type MeasureOptions, parseMeasureOptions } from './options.ts'
import { currentValues, readStatus } from './tpm-files.ts'

/** Drop-in for systemd-measure(1) of systemd 262. Returns the exit status. */
export async function measure(argv: readonly string[], output: ToolOutput, version: string): Promise<number> {
  try {
    const options = parseMeasureOptions('systemd-measure', argv)
    switch (options.verb) {
      case 'help':
        output.out(HELP)
        break
      case 'version':
        output.out(version)
        break
      case 'status':
        status(options, output)
        break
      case 'calculate':
        await calculate(options, output)
        break
      case 'sign':
      case 'policy-digest':
        await sign(options, output)
        break
    }
    return 0
  } catch (error) {
    if (!(error instanceof ToolFailure)) throw error
    output.log('error', error.message)
    return 1
  }
}

function status(options: MeasureOptions, output: ToolOutput): void {
  const banks = readStatus(options.banks)
  if (options.json !== undefined && options.json !== 'off') {
    const json = banks.map(({ bank, hash }) => [bank, [{ pcr: KERNEL_BOOT_PCR, hash }]])
    output.out(`${formatJson(Object.fromEntries(json), options.json, output)}\n`)
    return
  }
  const isUnset = banks.every(({ hash }) => /^0*$/.test(hash))
  heading(`# PCR[${KERNEL_BOOT_PCR}] kernel-boot${isUnset ? ' (NOT SET!)' : ''}`, output)
  for (const { bank, hash } of banks) output.out(`${KERNEL_BOOT_PCR}:${bank}=${hash}\n`)
}

async function calculate(options: MeasureOptions, output: ToolOutput): Promise<void> {
  checkSource(options)
  if (options.append !== undefined) {
    throw new ToolFailure("The --append= switch is only supported for 'sign', not 'calculate'.")
  }
  const values = await valuesOf(options)
  if (options.json !== undefined && options.json !== 'off') {
    const json = byBank(values, ({ phasePath, value }) => ({
      ...(phasePath.length === 0 ? {} : { phase: phasePath.join(':') }),
      pcr: KERNEL_BOOT_PCR,
      hash: value,
    }))
    output.out(`${formatJson(json, options.json, output)}\n`)
    return
  }
  let shown: string | undefined
  for (const { bank, phasePath, value } of byPhase(values)) {
    const phase = phasePath.join(':')
    if (phase !== shown) heading(`# PCR[${KERNEL_BOOT_PCR}] Phase <${phase === '' ? ':' : phase}>`, output)
    shown = phase
    output.out(`${KERNEL_BOOT_PCR}:${bank}=${value}\n`)
  }
}

/** Beside the values, which are all that a pipe gets. */
function heading(line: string, { colors, error }: ToolOutput): void {
  error(`${colored(line, 'grey', colors)}\n`)
}

/** Phase by phase, as the text form has them. */
function byPhase(values: readonly Pcr11Value<string>[]): Pcr11Value<string>[] {
  const phases = [...new Set(values.map(({ phasePath }) => phasePath.join(':')))]
  return phases.flatMap((phase) => values.filter(({ phasePath }) => phasePath.join(':') === phase))
}

/** `policy-digest` is this without a signature: somebody else makes it. */
async function sign(options: MeasureOptions, output: ToolOutput): Promise<void> {
  checkSource(options)
  if (options.verb === 'sign' && options.privateKey === undefined) {
    throw new ToolFailure('No private key specified, use --private-key=.')
  }
  const before = options.append === undefined ? {} : readSignatures(options.append)
  const made = policies(await valuesOf(options), options, output)
  const merged: Record<string, unknown[]> = { ...before }
  for (const [bank, entries] of Object.entries(made)) {
    const known = new Set((before[bank] ?? []).map(canonical))
    merged[bank] = [...(before[bank] ?? []), ...entries.filter((entry) => !known.has(canonical(entry)))]
  }
  printJson(merged, options, output)
}

function policies(
  values: readonly Pcr11Value<string>[],
  options: MeasureOptions,
  output: ToolOutput,
): Record<string, object[]> {
  const signer = signerOf(options, output)
  const publicKey = publicKeyOf(options, signer)
  const fingerprint = publicKey === undefined ? undefined : keyFingerprint(publicKey)
  return byBank(values, ({ bank, value }) => {
    const policy = policyPcr(policyBank(bank), new Map([[KERNEL_BOOT_PCR, value]]))
    const content = signedContent(policy, options.policyRef)
    return {
      pcrs: [KERNEL_BOOT_PCR],
      ...(fingerprint === undefined ? {} : { pkfp: fingerprint }),
      ...(options.policyRef === undefined ? {} : { ref: options.policyRef }),
      pol: policy.toString('hex'),
      ...(options.verb === 'sign' ? {} : { tbs: content.toString('hex') }),
      ...(signer === undefined ? {} : { sig: signer.sign(content).toString('base64') }),
    }
  })
}

function signerOf({ privateKey, privateKeySource }: MeasureOptions, output: ToolOutput): Signer | undefined {
  if (privateKey === undefined) return undefined
  if (privateKeySource !== 'file') return opensslSigner(privateKey, privateKeySource)
  const key = readPrivateKey(privateKey, (text) => output.log('warning', text))
  return { sign: (content) => signPolicy(content, key), publicKey: () => createPublicKey(key) }
}

function publicKeyOf(options: MeasureOptions, signer: Signer | undefined): KeyObject | undefined {
  if (options.publicKey !== undefined) return readPublicKey(options.publicKey)
  if (options.certificate !== undefined) {
    const { certificate, certificateSource } = options
    return certificateSource === 'file'
      ? readCertificateKey(certificate)
      : opensslCertificateKey(certificate, certificateSource)
  }
  // Only who signs asks for the key of the signature.
  return options.verb === 'sign' ? signer?.publicKey() : undefined
}

function checkSource({ isCurrent, sections }: MeasureOptions): void {
  if (isCurrent || sections.has('.linux')) return
  throw new ToolFailure('Either --linux= or --current must be specified, refusing.')
}

async function valuesOf(options: MeasureOptions): Promise<Pcr11Value<string>[]> {
  const phasePaths = options.phasePaths ?? DEFAULT_PHASE_PATHS
  const { banks } = options
  if (options.isCurrent) return currentValues(banks, phasePaths)
  const files = MEASURED_SECTIONS.flatMap((name) => {
    const path = options.sections.get(name)
    return path === undefined ? [] : [[name, path] as const]
  })
  return pcr11OfDigests(await hashSections(files, banks), { banks, phasePaths })
}

function readSignatures(path: string): Record<string, object[]> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new ToolFailure(`Failed to parse JSON object '${path}': ${errnoText(error)}`)
  }
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, object[]>
  } catch {
    // Told below.
  }
  throw new ToolFailure(`Failed to parse JSON object '${path}': Invalid argument`)
}

/** The same for the same members, in whatever order. */
function canonical(entry: object): string {
  return JSON.stringify(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function byBank<T>(values: readonly Pcr11Value<string>[], make: (value: Pcr11Value<string>) => T): Record<string, T[]> {
  const banks: Record<string, T[]> = {}
  for (const value of values) {
    banks[value.bank] ??= []
    banks[value.bank]?.push(make(value))
  }
  return banks
}

function printJson(json: object, { json: format }: MeasureOptions, output: ToolOutput): void {
  // These verbs print JSON even where it was asked not to be; then nothing ends the line.
  output.out(`${formatJson(json, format ?? 'auto', output)}${format === 'off' ? '' : '\n'}`)
}
