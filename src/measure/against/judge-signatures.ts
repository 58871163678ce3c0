import { type KeyObject, verify } from 'node:crypto'
import type { HashAlgorithm } from '../hash-algorithms.ts'
import { keyFingerprint, policyPcr, signedContent } from '../pcr-policy.ts'
import { KERNEL_BOOT_PCR } from '../pcr11.ts'
import { type PredictedEvent, predictPcrs } from '../prediction/event.ts'
import type { SignedPolicy } from './pcrsig-file.ts'

/** What is to be said of a signed policy. */
export interface JudgedPolicy {
  readonly bank: HashAlgorithm
  readonly pcrs: readonly number[]
  readonly policyRef: string | undefined
  /** When in the boot its PCRs lead to it: `stub`, `enter-initrd`, … `ready`; none if they never do. */
  readonly moments: readonly string[]
  /** `unsigned`: there is none; `unchecked`: no key was given. */
  readonly signature: 'valid' | 'invalid' | 'other-key' | 'unsigned' | 'unchecked'
}

/** Whether a disk sealed under it opens at some time of the predicted boot. */
export function isPolicyMet({ moments, signature }: JudgedPolicy): boolean {
  return moments.length > 0 && (signature === 'valid' || signature === 'unchecked')
}

/** Holds signed policies against what a machine is predicted to measure, and against the key that they are to be of. */
export function judgeSignatures(
  policies: readonly SignedPolicy[],
  events: readonly PredictedEvent[],
  publicKey: KeyObject | undefined,
): JudgedPolicy[] {
  const fingerprint = publicKey === undefined ? undefined : keyFingerprint(publicKey)
  const boot = momentsOf(events)
  return policies.map((policy) => {
    const { bank, pcrs, policyRef } = policy
    const moments = boot.filter(({ events }) =>
      policiesAt(events, bank, pcrs).some((made) => made.equals(policy.policy)),
    )
    return {
      bank,
      pcrs,
      policyRef,
      moments: moments.map(({ name }) => name),
      signature: judgeSignature(policy, publicKey, fingerprint),
    }
  })
}

function judgeSignature(
  { policy, policyRef, signature, keyFingerprint }: SignedPolicy,
  publicKey: KeyObject | undefined,
  fingerprint: string | undefined,
): JudgedPolicy['signature'] {
  if (signature === undefined) return 'unsigned'
  if (publicKey === undefined) return 'unchecked'
  if (keyFingerprint !== fingerprint) return 'other-key'
  return verify('sha256', signedContent(policy, policyRef), publicKey, signature) ? 'valid' : 'invalid'
}

const PHASE = 'phase '

/** The boot up to where systemd measures a word into PCR 11: at first all that the stub leaves behind. */
function momentsOf(events: readonly PredictedEvent[]): { name: string; events: readonly PredictedEvent[] }[] {
  const phases = events.flatMap(({ pcr, what }, index) => {
    return pcr === KERNEL_BOOT_PCR && what.startsWith(PHASE) ? [index] : []
  })
  // Of the other PCRs it is only known what they hold once the system is up.
  const before = (end: number) => events.filter(({ pcr }, index) => pcr !== KERNEL_BOOT_PCR || index < end)
  return [
    { name: 'stub', events: before(phases[0] ?? events.length) },
    ...phases.map((index) => ({ name: events[index]?.what.slice(PHASE.length) ?? '', events: before(index + 1) })),
  ]
}

/** More combinations of values than this nobody signs. */
const MAX_COMBINATIONS = 64

function policiesAt(events: readonly PredictedEvent[], bank: HashAlgorithm, pcrs: readonly number[]): Buffer[] {
  const values = predictPcrs(events, [bank]).get(bank)
  let combinations: ReadonlyMap<number, string>[] = [new Map()]
  for (const pcr of pcrs) {
    const value = values?.get(pcr)
    if (value?.kind !== 'known') return []
    combinations = combinations.flatMap((chosen) => value.values.map((one) => new Map([...chosen, [pcr, one]])))
    if (combinations.length > MAX_COMBINATIONS) return []
  }
  return combinations.map((chosen) => policyPcr(bank, chosen))
}
