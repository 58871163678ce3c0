import { createPublicKey, type KeyObject } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type HashAlgorithm,
  isPolicyMet,
  type JudgedPcr,
  type JudgedPolicy,
  judgeComponents,
  judgeSignatures,
  type PredictedEvent,
  pcrlockComponents,
  signedPolicies,
} from '../measure/index.ts'
import { BootwrightError } from '../system/index.ts'
import { readInput } from './input-file.ts'

/** What others say that a machine will measure, held against the prediction. */
export type Against = { readonly path: string; readonly isHeld: boolean } & (
  | { readonly policies: readonly JudgedPolicy[] }
  | { readonly bank: HashAlgorithm; readonly pcrs: readonly JudgedPcr[] }
)

export interface AgainstOptions {
  /** A file of signed policies, a unified kernel image with one in `.pcrsig`, or a directory of components of pcrlock. */
  readonly against: string
  /** Of the signatures; that in `.pcrpkey` of a unified kernel image without it. */
  readonly publicKey?: string | undefined
}

/** Rejects with `INVALID_ARGUMENT` or `MALFORMED_INPUT` for a file that is none of those. */
export async function predictedAgainst(
  events: readonly PredictedEvent[],
  banks: readonly HashAlgorithm[],
  { against: path, publicKey }: AgainstOptions,
): Promise<Against> {
  if (await isDirectory(path)) {
    const components = pcrlockComponents(await readComponents(path))
    if (components.length === 0) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected components of pcrlock in ${path}, found no .pcrlock file`)
    }
    const bank = banks.includes('sha256') ? 'sha256' : (banks[0] ?? 'sha256')
    const pcrs = judgeComponents(components, events, bank)
    return { path, isHeld: pcrs.every(({ isNamed, isCovered }) => isCovered || !isNamed), bank, pcrs }
  }
  const { bytes } = await readInput(path)
  const signed = signedPolicies(bytes)
  const key = publicKey === undefined ? signed.publicKey : (await readInput(publicKey)).bytes
  const policies = judgeSignatures(
    signed.policies.filter(({ bank }) => banks.includes(bank)),
    events,
    key === undefined ? undefined : readKey(key, publicKey ?? path),
  )
  return { path, isHeld: policies.length > 0 && policies.every(isPolicyMet), policies }
}

/** For a person. */
export function againstText(against: Against): string {
  const head = `${against.path}: ${against.isHeld ? 'holds' : 'does not hold'}\n`
  if ('policies' in against) return `${head}${against.policies.map(policyLine).join('')}`
  return `${head}${against.pcrs.map(pcrLine).join('')}`
}

function policyLine({ bank, pcrs, policyRef, moments, signature }: JudgedPolicy): string {
  const reference = policyRef === undefined ? '' : `, reference ${JSON.stringify(policyRef)}`
  const when = moments.length === 0 ? 'never in this boot' : `met after ${moments.join(', ')}`
  return `  ${bank} PCR ${pcrs.join('+')}: ${when}; signature ${signature}${reference}\n`
}

function pcrLine({ pcr, isNamed, isCovered, fits, why }: JudgedPcr): string {
  if (isCovered) return `  PCR ${pcr}: ${fits.length === 0 ? 'nothing is measured' : fits.join(', ')}\n`
  return `  PCR ${pcr}: ${isNamed ? why : `no component is about it`}\n`
}

function readKey(pem: Buffer | string, path: string): KeyObject {
  try {
    return createPublicKey(pem)
  } catch (cause) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a public key in ${path}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}

async function readComponents(directory: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory() || !entry.name.endsWith('.pcrlock')) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(join(directory, '/').length), await readFile(path))
  }
  return files
}
