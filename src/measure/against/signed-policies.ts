import { parsePe } from '../../formats/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { ukiSection } from '../uki.ts'
import { parsePcrSignatures, type SignedPolicy } from './pcrsig-file.ts'

/** Signed policies as a file brings them. */
export interface SignedPolicies {
  readonly policies: readonly SignedPolicy[]
  /** The key that comes with them, PEM. */
  readonly publicKey: string | undefined
}

/**
 * Reads signed policies from a file of their own, or from a unified kernel image: section `.pcrsig`, with the key in
 * `.pcrpkey`, of its first profile. Rejects with `IMAGE_INCOMPLETE` an image without.
 */
export function signedPolicies(bytes: Uint8Array): SignedPolicies {
  const isImage = bytes[0] === 0x4d && bytes[1] === 0x5a
  if (!isImage) return { policies: parsePcrSignatures(bytes), publicKey: undefined }
  const pe = parsePe(bytes)
  const signatures = ukiSection(pe, bytes, '.pcrsig')
  if (signatures === undefined) {
    throw new BootwrightError('IMAGE_INCOMPLETE', 'Expected signed policies in section .pcrsig, found none', {
      hint: 'Sign them while the image is built: SignExpectedPcr= of mkosi, --pcr-private-key= of ukify.',
    })
  }
  const key = ukiSection(pe, bytes, '.pcrpkey')
  return {
    policies: parsePcrSignatures(signatures),
    publicKey: key === undefined ? undefined : Buffer.from(key).toString('latin1').replaceAll('\0', ''),
  }
}
