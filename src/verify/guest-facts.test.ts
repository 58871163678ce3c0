import { describe, expect, it } from 'vitest'
import { type Guest, guestOf, PCRS, pcrFiles, TPM } from './guest.test-support.ts'
import { GuestFacts } from './guest-facts.ts'

function factsOf(guest: Guest): { facts: GuestFacts; asked: string[]; kept: Map<string, Uint8Array | string> } {
  const { machine, asked } = guestOf(guest)
  const kept = new Map<string, Uint8Array | string>()
  const facts = new GuestFacts(machine, async (name, bytes) => void kept.set(name, bytes))
  return { facts, asked, kept }
}

const value = 'ab'.repeat(32)

describe('GuestFacts', () => {
  it('asks each fact once, however many ask for it', async () => {
    const { facts, asked } = factsOf({ files: { [TPM]: '' } })
    expect(await Promise.all([facts.hasTpm(), facts.hasTpm(), facts.exists(TPM)])).toEqual([true, true, true])
    expect(await facts.exists('/other')).toBe(false)
    expect(asked).toEqual([`test -e ${TPM}`, 'test -e /other'])
  })

  it('reads PCRs of all banks, and keeps them', async () => {
    const noise = 'grep: pcr-sha256: Is a directory\n'
    const text = noise + pcrFiles({ sha256: { 0: value, 23: value }, sha1: { 7: 'CD'.repeat(20) } })
    const { facts, kept } = factsOf({ commands: { [PCRS]: text } })
    const pcrs = await facts.pcrs()
    expect([...pcrs.keys()]).toEqual(['sha256', 'sha1'])
    expect(pcrs.get('sha256')).toEqual(
      new Map([
        [0, value],
        [23, value],
      ]),
    )
    expect(pcrs.get('sha1')?.get(7)).toBe('cd'.repeat(20))
    expect(JSON.parse(String(kept.get('pcrs.json')))).toHaveProperty('sha256.0', value)
  })

  it('rejects a PCR of the wrong size, and still keeps what it saw', async () => {
    const { facts, kept } = factsOf({ commands: { [PCRS]: pcrFiles({ sha256: { 0: 'ab' } }) } })
    await expect(facts.pcrs()).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    expect(kept.has('pcrs.json')).toBe(true)
  })

  it('keeps an event log that it cannot read: it is the evidence', async () => {
    const log = Buffer.from('not a log')
    const { facts, kept } = factsOf({ files: { '/sys/kernel/security/tpm0/binary_bios_measurements': log } })
    await expect(facts.eventLog()).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
    expect(kept.get('event-log.bin')).toEqual(log)
  })

  it('takes a userspace log that is not there for an empty one', async () => {
    const { facts, kept } = factsOf({})
    expect((await facts.userspaceLog()).records).toEqual([])
    expect(kept.size).toBe(0)
  })
})
