import { describe, expect, it } from 'vitest'
import { command, EMPTY_PASSWORD, words } from './commands.ts'
import { observedBoot } from './observed-boot.ts'

const NO_SESSIONS = 0x8001
const SESSIONS = 0x8002
const SUCCESS = answer()
const ONE = Buffer.alloc(32, 1)
const TWO = Buffer.alloc(32, 2)

function answer(parameters?: Buffer): Buffer {
  if (parameters === undefined) return command(SESSIONS, 0, Buffer.alloc(0))
  return command(SESSIONS, 0, Buffer.concat([words(parameters.length), parameters, Buffer.of(0, 0, 1, 0, 0)]))
}

/** As swtpm writes it: sixteen bytes a line, with what libtpms has to say in between. */
function dump(by: string, bytes: Buffer): string {
  const lines = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, index) => {
    const part = bytes.subarray(index * 16, index * 16 + 16)
    return ` ${[...part].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ')} \n`
  })
  return ` ${by}: length ${bytes.length}\n${lines.join('')}`
}

function exchange(sent: Buffer, answered = SUCCESS): string {
  return `${dump('SWTPM_IO_Read', sent)}    IsEnEnabled(0x182 = 'PCR_Extend'): 1\n${dump('SWTPM_IO_Write', answered)}`
}

const digests = (digest: Buffer) => Buffer.concat([words(1), Buffer.of(0, 0x0b), digest])
const sent = (code: number, pcr: number, rest: Buffer = Buffer.alloc(0)) =>
  command(SESSIONS, code, Buffer.concat([words(pcr), EMPTY_PASSWORD, rest]))
const startup = (type: number) => exchange(command(NO_SESSIONS, 0x144, Buffer.of(0, type)))
const extend = (pcr: number, digest: Buffer, answered?: Buffer) => exchange(sent(0x182, pcr, digests(digest)), answered)
const locality = (number: number) =>
  dump('Ctrl Cmd', Buffer.of(0, 0, 0, 5, number, 0, 0, 0)) + dump('Ctrl Rsp', words(0))

const extendsIn = (log: string) =>
  observedBoot(log).extends.map(({ pcr, digests: all }) => [pcr, Buffer.from(all.get('sha256') ?? []).toString('hex')])
const [one, two] = [ONE.toString('hex'), TWO.toString('hex')]

describe('observedBoot()', () => {
  it('has what was extended, in order, and nothing that the TPM refused', () => {
    const refused = extend(7, TWO, command(NO_SESSIONS, 0x98e, Buffer.alloc(0)))
    expect(extendsIn(startup(0) + extend(7, ONE) + refused + extend(4, TWO))).toEqual([
      [7, one],
      [4, two],
    ])
  })

  it('takes what the TPM has hashed itself from its answer', () => {
    const event = exchange(sent(0x13c, 7, Buffer.from('\0\x04data')), answer(digests(ONE)))
    const handles = Buffer.concat([words(8, 0x80000000, 18), EMPTY_PASSWORD.subarray(4), EMPTY_PASSWORD.subarray(4)])
    const complete = exchange(command(SESSIONS, 0x185, handles), answer(digests(TWO)))
    expect(extendsIn(startup(0) + event + complete)).toEqual([
      [7, one],
      [8, two],
    ])
  })

  it('forgets what was before a reset: of the machine, or of one PCR', () => {
    expect(extendsIn(startup(0) + extend(7, ONE) + startup(0) + extend(7, TWO))).toEqual([[7, two]])
    expect(extendsIn(startup(0) + extend(16, ONE) + extend(23, ONE) + exchange(sent(0x13d, 16)))).toEqual([[23, one]])
  })

  it('goes on where a sleeping machine wakes up', () => {
    expect(extendsIn(startup(0) + extend(7, ONE) + startup(1) + extend(7, TWO))).toHaveLength(2)
  })

  it('counts the boots', () => {
    expect(observedBoot(startup(0) + extend(7, ONE) + startup(1)).ordinal).toBe(1)
    expect(observedBoot(startup(0) + extend(7, ONE) + startup(0)).ordinal).toBe(2)
  })

  it('knows the locality that the TPM was started from', () => {
    expect(observedBoot(startup(0)).startupLocality).toBe(0)
    expect(observedBoot(locality(3) + startup(0) + locality(0) + extend(0, ONE)).startupLocality).toBe(3)
  })

  it('leaves out what is only half written at the end, wherever it is cut', () => {
    const [whole, last] = [startup(0) + extend(7, ONE), extend(7, TWO)]
    for (let length = 0; length < last.length; length++) {
      expect(extendsIn(whole + last.slice(0, length))).toEqual([[7, one]])
    }
    expect(extendsIn(whole + last)).toHaveLength(2)
  })

  it('rejects what it cannot follow', () => {
    const broken = startup(0).replace(/ 80 01.*\n/, '')
    for (const [log, problem] of [
      [broken + extend(7, ONE), /line 1 tells of 12 bytes, 0 follow/],
      ['', /the TPM was not started/],
      [extend(7, ONE), /before the TPM was started/],
      [startup(0) + exchange(sent(0x13d, 17)), /PCR 17 was reset/],
      [startup(0) + exchange(sent(0x182, 7, words(9))), /hashAlg/],
      [startup(0) + exchange(sent(0x182, 7, Buffer.of(0, 0, 0, 1, 0, 99))), /0x63 is not known/],
    ] as const) {
      expect(() => observedBoot(log)).toThrow(
        expect.objectContaining({ code: 'MALFORMED_INPUT', message: expect.stringMatching(problem) }),
      )
    }
  })
})
