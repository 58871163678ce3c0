import { expect, it } from 'vitest'
import { responseCodeWords } from './response-code.ts'

it.for([
  [0x99d, 'TPM_RC_POLICY_FAIL: a policy check failed (session 1)'],
  [0x2db, 'TPM_RC_SIGNATURE: the signature is not valid (parameter 2)'],
  [0x18b, 'TPM_RC_HANDLE: there is no such handle (handle 1)'],
  [0x1c4, 'TPM_RC_VALUE: the value is out of range (parameter 1)'],
  [0x100, 'TPM_RC_INITIALIZE: it is started already, or not yet'],
  [0x14c, 'TPM_RC_NV_DEFINED: the NV index or persistent object is there already'],
  [0x921, 'TPM_RC_LOCKOUT: it is locked out after too many failed authorizations'],
  [0x910, 'TPM_RC_REFERENCE_H0: handle 1 is not loaded'],
  [0x919, 'TPM_RC_REFERENCE_S1: session 2 is not loaded'],
  [0x01e, '0x01e'],
  [0x1bf, '0x1bf'],
  [0x50000, '0x50000, from a layer above the TPM'],
] as const)('responseCodeWords(0x%x)', ([code, words]) => {
  expect(responseCodeWords(code)).toBe(words)
})
