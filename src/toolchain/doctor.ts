import { BootwrightError } from '../system/index.ts'
import { tunProbe, vsockProbe } from './doctor/devices.ts'
import { kvmProbe } from './doctor/kvm.ts'
import { mountProbe, userNamespaceProbe } from './doctor/namespaces.ts'
import { nodeProbe, npmProbe } from './doctor/node.ts'
import { aptProbe, keyringProbe, mirrorProbe } from './doctor/packages.ts'
import type { DoctorContext, Probe, ProbeOutcome } from './doctor/probe.ts'
import { pythonProbe } from './doctor/python.ts'
import { cacheDiskProbe, coresProbe, memoryProbe, outDiskProbe } from './doctor/resources.ts'
import { mkosiProbe, toolsProbe } from './doctor/tools.ts'

/** One answer of the doctor. */
export interface Finding extends ProbeOutcome {
  readonly id: string
  readonly title: string
}

export const PROBES: readonly Probe[] = [
  nodeProbe,
  npmProbe,
  pythonProbe,
  aptProbe,
  keyringProbe,
  mirrorProbe,
  mkosiProbe,
  toolsProbe,
  userNamespaceProbe,
  mountProbe,
  tunProbe,
  vsockProbe,
  kvmProbe,
  memoryProbe,
  coresProbe,
  cacheDiskProbe,
  outDiskProbe,
]

/** Puts all questions to the host, one after the other. A probe that fails is an answer too; only an abort rejects. */
export async function examine(
  context: DoctorContext,
  onFinding?: (finding: Finding) => void,
  probes: readonly Probe[] = PROBES,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { id, title, run } of probes) {
    context.signal?.throwIfAborted()
    const finding = { id, title, ...(await run(context).catch(asOutcome)) }
    context.signal?.throwIfAborted()
    findings.push(finding)
    onFinding?.(finding)
  }
  return findings
}

function asOutcome(error: unknown): ProbeOutcome {
  const found = error instanceof Error ? error.message : String(error)
  const hint = error instanceof BootwrightError && error.family !== 'bug' ? error.hint : undefined
  return hint === undefined ? { status: 'missing', found } : { status: 'missing', found, hint }
}
