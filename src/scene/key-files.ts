import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { efiTime, signedBytesOfWrite, writeAuthenticatedWrite } from '../formats/index.ts'
import {
  KEY_ATTRIBUTES,
  KEY_VARIABLES,
  type KeyVariable,
  keyVariableGuid,
  type OwnKeys,
  signatureList,
} from '../machine/index.ts'
import { run } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** Who signs the first value of each variable: PK itself, and then each the one below it (UEFI 32.3). */
const SIGNERS: Readonly<Record<KeyVariable, KeyVariable>> = { PK: 'PK', KEK: 'PK', db: 'KEK' }
/** Later writes have later times. */
const TIMESTAMP = efiTime(new Date('2020-01-01T00:00:00Z'))

/** The files of `loader/keys/<name>/` that systemd-boot enrols on a machine in setup mode: signed writes of variables. */
export async function keyFiles(
  keys: OwnKeys,
  { toolchain, scratchDirectory }: { readonly toolchain: Toolchain; readonly scratchDirectory: string },
): Promise<Map<string, Uint8Array>> {
  const [input, output] = [join(scratchDirectory, 'write'), join(scratchDirectory, 'write.p7')]
  const files = new Map<string, Uint8Array>()
  for (const name of KEY_VARIABLES) {
    const data = signatureList({ kind: 'x509', owner: keys.owner, data: keys.keys[name].certificate })
    const write = { name, vendorGuid: keyVariableGuid(name), attributes: KEY_ATTRIBUTES, data }
    await writeFile(input, signedBytesOfWrite(write, TIMESTAMP))
    const signer = keys.keys[SIGNERS[name]]
    // biome-ignore format: an option and its value a line
    const argv = [
      'openssl', 'cms', '-sign', '-binary', '-noattr', '-md', 'sha256',
      '-signer', signer.certificatePath, '-inkey', signer.privateKeyPath,
      '-outform', 'DER', '-in', input, '-out', output,
    ]
    await run(toolchain.command(argv))
    const signature = await readFile(output)
    files.set(`${name}.auth`, writeAuthenticatedWrite({ timestamp: TIMESTAMP, signature, payload: data }))
  }
  await Promise.all([input, output].map((path) => rm(path)))
  return files
}
