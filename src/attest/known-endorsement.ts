import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Toolchain } from '../toolchain/index.ts'
import { CERTIFICATE_FILE, endorsementAuthority } from '../tpm/index.ts'
import type { Expectation } from './judge.ts'

/** What the host knows of the TPM of a machine, from its state directory: nobody in the guest is asked. */
export async function knownEndorsement(
  toolchain: Toolchain,
  machineDirectory: string,
): Promise<NonNullable<Expectation['endorsement']>> {
  const certificate = await readFile(join(machineDirectory, 'tpm', CERTIFICATE_FILE))
  return { authority: await endorsementAuthority(toolchain), certificate: new X509Certificate(certificate) }
}
