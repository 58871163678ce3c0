import { BootwrightError } from '../system/index.ts'

/** The all-zero GUID, which marks an unused entry. */
export const NIL_GUID = '00000000-0000-0000-0000-000000000000'

/** A GUID of 16 bytes as lower-case text. The first three fields are little-endian (UEFI appendix A). */
export function formatGuid(bytes: Uint8Array): string {
  if (bytes.byteLength !== 16) throw new BootwrightError('BUG', `A GUID has 16 bytes, not ${bytes.byteLength}`)
  const hex = Buffer.from(swapFields(bytes)).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** The 16 bytes of a GUID given as text; rejects any other text with `INVALID_ARGUMENT`. */
export function parseGuid(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Expected a GUID, found "${text.slice(0, 60)}"`, {
      hint: 'A GUID is written as 8-4-4-4-12 hexadecimal digits, for example c12a7328-f81f-11d2-ba4b-00a0c93ec93b.',
    })
  }
  return swapFields(Buffer.from(text.replaceAll('-', ''), 'hex'))
}

function swapFields(bytes: Uint8Array): Uint8Array {
  const swapped = Uint8Array.from(bytes)
  swapped.subarray(0, 4).reverse()
  swapped.subarray(4, 6).reverse()
  swapped.subarray(6, 8).reverse()
  return swapped
}
