import { describe, expect, it } from 'vitest'
import type { EfiSignature } from '../../formats/index.ts'
import { afterRefusal, type ImageVerdict, predictPcrs, predictRefusal } from '../index.ts'

const entry = {} as EfiSignature
const allowed = { verdict: 'allowed', by: 'db-hash', entry } as const
const unsigned = { verdict: 'refused', by: 'not-in-db', why: 'it is not signed' } as const
const boot = (loader: ImageVerdict, uki: ImageVerdict) =>
  predictRefusal([
    { name: 'EFI/BOOT/BOOTX64.EFI', verdict: loader },
    { name: 'EFI/Linux/a.efi', verdict: uki },
  ])

describe('predictRefusal()', () => {
  it('has none where everything passes', () => {
    expect(boot(allowed, { verdict: 'allowed', by: 'no-secure-boot' })).toBeUndefined()
    expect(predictRefusal([])).toBeUndefined()
  })

  it('is by whoever would have started the program, and ends there', () => {
    const because = 'secure-boot'
    const [loader, uki] = ['EFI/BOOT/BOOTX64.EFI', 'EFI/Linux/a.efi']
    expect(boot(unsigned, unsigned)).toEqual({ by: 'firmware', because, image: loader, why: 'it is not signed' })
    expect(boot(allowed, unsigned)).toEqual({ by: 'boot-loader', because, image: uki, why: 'it is not signed' })
  })

  it.for(['dbx-hash', 'dbx-certificate', 'dbx-certificate-hash'] as const)('says why: %s', (by) => {
    expect(boot({ verdict: 'refused', by, entry }, allowed)?.why).toMatch(/^dbx has /)
  })
})

describe('afterRefusal()', () => {
  it('leaves unknown what a later program could measure, and nothing else', () => {
    const refusal = boot(unsigned, allowed)
    if (refusal === undefined) throw new Error('no refusal')
    const pcrs = predictPcrs(afterRefusal(refusal), ['sha256']).get('sha256')
    expect(pcrs?.get(4)).toMatchObject({ kind: 'unknown', why: [expect.stringContaining('BOOTX64.EFI is refused')] })
    expect([0, 1, 2, 3, 6].map((pcr) => pcrs?.get(pcr)?.kind)).toEqual(Array(5).fill('known'))
  })
})
