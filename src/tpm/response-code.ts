/** TPM 2.0 Part 2, 6.6 "TPM_RC": how codes of format 1, about one handle, session or parameter, are told from the others. */
const FORMAT_ONE = 0x80
const VERSION_ONE = 0x100
const WARNING = 0x900
/** Errors of format 0, and of format 1, and warnings, by their number: name and what it means. */
const FORMAT_ZERO_ERRORS: Readonly<Record<number, string>> = {
  0: 'TPM_RC_INITIALIZE: it is started already, or not yet',
  1: 'TPM_RC_FAILURE: it is in failure mode',
  32: 'TPM_RC_DISABLED: the command is disabled',
  36: 'TPM_RC_AUTH_TYPE: the handle is not correct for the command',
  37: 'TPM_RC_AUTH_MISSING: the command needs an authorization',
  38: 'TPM_RC_POLICY: the policy does not take this command',
  39: 'TPM_RC_PCR: the PCR cannot be changed so, from this locality',
  40: 'TPM_RC_PCR_CHANGED: a PCR has changed since it was checked',
  47: 'TPM_RC_AUTH_UNAVAILABLE: neither a password nor a policy can authorize this',
  66: 'TPM_RC_COMMAND_SIZE: the size of the command does not fit its header',
  67: 'TPM_RC_COMMAND_CODE: it has no such command',
  68: 'TPM_RC_AUTHSIZE: the size of the authorization area does not fit',
  69: 'TPM_RC_AUTH_CONTEXT: the command takes no such sessions',
  70: 'TPM_RC_NV_RANGE: outside of the NV index',
  71: 'TPM_RC_NV_SIZE: that is too much for an NV index',
  72: 'TPM_RC_NV_LOCKED: the NV index is locked',
  73: 'TPM_RC_NV_AUTHORIZATION: the NV index is not for whoever asks',
  74: 'TPM_RC_NV_UNINITIALIZED: the NV index was never written',
  75: 'TPM_RC_NV_SPACE: there is no room for the NV index',
  76: 'TPM_RC_NV_DEFINED: the NV index or persistent object is there already',
}
const FORMAT_ONE_ERRORS: Readonly<Record<number, string>> = {
  1: 'TPM_RC_ASYMMETRIC: the asymmetric algorithm is not supported or not correct',
  2: 'TPM_RC_ATTRIBUTES: the attributes contradict each other',
  3: 'TPM_RC_HASH: the hash algorithm is not supported or not fitting',
  4: 'TPM_RC_VALUE: the value is out of range',
  5: 'TPM_RC_HIERARCHY: the hierarchy is not enabled or not correct',
  7: 'TPM_RC_KEY_SIZE: the key size is not supported',
  10: 'TPM_RC_TYPE: the type is not fitting',
  11: 'TPM_RC_HANDLE: there is no such handle',
  13: 'TPM_RC_RANGE: the value is out of range',
  14: 'TPM_RC_AUTH_FAIL: the authorization is wrong, and counts towards a lockout',
  15: 'TPM_RC_NONCE: the nonce has the wrong size',
  18: 'TPM_RC_SCHEME: the scheme is not supported or not fitting',
  21: 'TPM_RC_SIZE: the structure has the wrong size',
  22: 'TPM_RC_SYMMETRIC: the symmetric algorithm is not supported or not fitting',
  23: 'TPM_RC_TAG: the tag is wrong',
  24: 'TPM_RC_SELECTOR: the union selector is wrong',
  26: 'TPM_RC_INSUFFICIENT: the structure ends too early',
  27: 'TPM_RC_SIGNATURE: the signature is not valid',
  28: 'TPM_RC_KEY: the key does not fit',
  29: 'TPM_RC_POLICY_FAIL: a policy check failed',
  31: 'TPM_RC_INTEGRITY: the integrity check failed',
  32: 'TPM_RC_TICKET: the ticket is not valid',
  33: 'TPM_RC_RESERVED_BITS: reserved bits are set',
  34: 'TPM_RC_BAD_AUTH: the authorization is wrong',
  35: 'TPM_RC_EXPIRED: the policy has expired',
  36: 'TPM_RC_POLICY_CC: the policy is about another command',
  37: 'TPM_RC_BINDING: public and sensitive parts do not belong together',
  38: 'TPM_RC_CURVE: the curve is not supported',
  39: 'TPM_RC_ECC_POINT: the point is not on the curve',
}
const WARNINGS: Readonly<Record<number, string>> = {
  1: 'TPM_RC_CONTEXT_GAP: too many contexts were saved',
  2: 'TPM_RC_OBJECT_MEMORY: there is no room for another object',
  3: 'TPM_RC_SESSION_MEMORY: there is no room for another session',
  4: 'TPM_RC_MEMORY: it is out of memory',
  5: 'TPM_RC_SESSION_HANDLES: there are too many sessions',
  6: 'TPM_RC_OBJECT_HANDLES: there are too many objects',
  7: 'TPM_RC_LOCALITY: not from this locality',
  8: 'TPM_RC_YIELDED: it has suspended the command',
  9: 'TPM_RC_CANCELED: the command was cancelled',
  10: 'TPM_RC_TESTING: it tests itself',
  32: 'TPM_RC_NV_RATE: NV memory was written too often',
  33: 'TPM_RC_LOCKOUT: it is locked out after too many failed authorizations',
  34: 'TPM_RC_RETRY: it could not begin the command',
  35: 'TPM_RC_NV_UNAVAILABLE: NV memory cannot be written',
}

/** A response code in words: `TPM_RC_POLICY_FAIL: a policy check failed (session 1)`; a code that is not known as a number. */
export function responseCodeWords(code: number): string {
  const number = `0x${code.toString(16).padStart(3, '0')}`
  if (code > 0xfff) return `${number}, from a layer above the TPM`
  if ((code & FORMAT_ONE) !== 0) {
    const words = FORMAT_ONE_ERRORS[code & 0x3f]
    return words === undefined ? number : `${words} (${about(code)})`
  }
  if ((code & VERSION_ONE) === 0) return number
  const table = (code & WARNING) === WARNING ? WARNINGS : FORMAT_ZERO_ERRORS
  // Warnings that name a handle or session which is to be loaded again.
  if (table === WARNINGS && (code & 0x7f) >= 0x10 && (code & 0x7f) <= 0x1e) {
    const missing = code & 0x0f
    return missing < 8
      ? `TPM_RC_REFERENCE_H${missing}: handle ${missing + 1} is not loaded`
      : `TPM_RC_REFERENCE_S${missing - 8}: session ${missing - 7} is not loaded`
  }
  return table[code & 0x7f] ?? number
}

/** What a code of format 1 is about: counted from 1, or not said (Part 2, 6.6.2). */
function about(code: number): string {
  const n = (code >> 8) & 0xf
  if ((code & 0x40) !== 0) return `parameter ${n}`
  return n < 8 ? `handle ${n}` : `session ${n - 8}`
}
