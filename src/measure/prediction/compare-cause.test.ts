import { describe, expect, it } from 'vitest'
import { type EfiSignature, efiSignatureType, writeEfiSignatureLists } from '../../formats/index.ts'
import { compareEvents, eventsAsPredicted, HASH_ALGORITHMS, type PredictedEvent } from '../index.ts'
import { action, ascii, type LoggedEvent, tagged, u16z, userspaceRecord, variable } from '../log-writer.test-support.ts'
import { GLOBAL, logged, notEqual, SECURITY, told } from './compare-events.test-support.ts'

describe('the cause of a difference has both sides', () => {
  const cause = (before: LoggedEvent, after: LoggedEvent): string => {
    const predicted = eventsAsPredicted(logged([action(before.pcr, 'first'), before]))
    const [found, ...more] = notEqual(
      compareEvents(predicted, logged([action(before.pcr, 'first'), after]), HASH_ALGORITHMS),
    )
    expect(more).toEqual([])
    expect(found?.status).toBe('different')
    return found?.cause ?? ''
  }
  const boot = (name: string, value: Uint8Array): LoggedEvent => {
    return { pcr: 1, type: 0x80000002, data: variable(GLOBAL, name, value), hashed: value }
  }
  const config = (guid: string, name: string, value?: Uint8Array): LoggedEvent => {
    return { pcr: 7, type: 0x80000001, data: variable(guid, name, value) }
  }

  it('of a command line', () => {
    const line = (text: string): LoggedEvent => ({ pcr: 12, type: 0xd, data: u16z(text) })
    expect(cause(line('root=a quiet'), line('root=a init=/bin/sh'))).toMatch(
      /^EV_IPL "root=a quiet": expected "root=a quiet", found "root=a init=\/bin\/sh"; expected sha512 [0-9a-f]{16}…, found [0-9a-f]{16}…$/,
    )
  })

  it('of BootOrder and of a boot option', () => {
    expect(cause(boot('BootOrder', Buffer.of(2, 0, 0, 0)), boot('BootOrder', Buffer.of(0, 0, 2, 0)))).toMatch(
      /^variable BootOrder: expected Boot0002, Boot0000, found Boot0000, Boot0002; /,
    )
    const option = (text: string): Buffer =>
      Buffer.concat([Buffer.of(1, 0, 0, 0, 4, 0), u16z(text), Buffer.of(0x7f, 0xff, 4, 0)])
    expect(cause(boot('Boot0002', option('Disk')), boot('Boot0002', option('Net')))).toMatch(
      /^variable Boot0002: expected "Disk" .*\(attributes 0x1\), found "Net" /,
    )
    expect(cause(boot('BootOrder', Buffer.of(2, 0)), boot('BootOrder', Buffer.of(2)))).toMatch(
      /expected 2 bytes, found 1, the first difference at byte 1: expected 00, found the end/,
    )
  })

  it('of Secure Boot, and of the signatures in db', () => {
    expect(cause(config(GLOBAL, 'SecureBoot'), config(GLOBAL, 'SecureBoot', Buffer.of(1)))).toMatch(
      /^variable SecureBoot: expected no value, found 01 \(on\); /,
    )
    const lists = (signatures: readonly EfiSignature[]): Uint8Array =>
      writeEfiSignatureLists([{ type: efiSignatureType('sha256'), header: Buffer.of(), signatureSize: 48, signatures }])
    const signature = (fill: number): EfiSignature => ({ owner: GLOBAL, data: Buffer.alloc(32, fill) })
    const [one, two] = [signature(1), signature(2)]
    expect(cause(config(SECURITY, 'dbx', lists([one])), config(SECURITY, 'dbx', lists([one, two])))).toContain(
      `variable dbx: expected 1 signature, found 2: added sha256 ${'02'.repeat(16)}… of owner ${GLOBAL}`,
    )
    expect(cause(config(SECURITY, 'dbx', lists([one])), config(SECURITY, 'dbx', ascii('no list')))).toContain(
      'the first difference at byte 0',
    )
  })

  it('of a partition table', () => {
    const entry = Buffer.alloc(128)
    entry.write('root', 56, 'utf16le')
    entry.writeBigUInt64LE(4096n, 40)
    const table = (change: (gpt: Buffer) => void, entries = [entry]): LoggedEvent => {
      const head = Buffer.alloc(100)
      head.writeUInt32LE(entries.length, 92)
      const data = Buffer.concat([head, ...entries])
      change(data)
      return { pcr: 5, type: 0x80000006, data }
    }
    const original = table(() => {})
    expect(
      cause(
        original,
        table((gpt) => gpt.fill(0x11, 56, 72)),
      ),
    ).toMatch(/disk GUID expected 00000000-0000-0000-0000-000000000000, found 11111111-1111-1111-1111-111111111111; /)
    expect(
      cause(
        original,
        table((gpt) => gpt.writeBigUInt64LE(5000n, 140)),
      ),
    ).toContain('partition 1 "root": last block expected 4096, found 5000')
    expect(
      cause(
        original,
        table((gpt) => gpt.writeUInt32LE(1, 88)),
      ),
    ).toContain('checksum of the entries expected 0x00000000, found 0x00000001')
    expect(
      cause(
        original,
        table(() => {}, [entry, entry]),
      ),
    ).toContain('with one more, partition 2 "root"')
    expect(
      cause(
        original,
        table(() => {}, []),
      ),
    ).toContain('without partition 1 "root"')
  })

  it('of an error of the firmware', () => {
    const separator = (value: number): LoggedEvent => ({ pcr: 2, type: 4, data: Buffer.of(value, 0, 0, 0) })
    expect(cause(separator(0), separator(1))).toContain(
      'expected 0x0, found 0x1, with which firmware tells of an error',
    )
  })

  it('of a word of systemd, escapes undone', () => {
    const record = (word: string, logged = word): string =>
      userspaceRecord(15, word).replace(JSON.stringify(word), JSON.stringify(logged))
    const predicted = eventsAsPredicted(logged([], record('machine-id:aa\n\\', 'machine-id:aa\\n\\\\')))
    expect(predicted[0]?.measured).toEqual({ kind: 'bytes', bytes: ascii('machine-id:aa\n\\') })
    expect(told(compareEvents(predicted, logged([], record('machine-id:bb')), ['sha1']))).toEqual([
      expect.stringContaining('expected "machine-id:aa\\n\\", found "machine-id:bb"'),
    ])
  })

  it('unless the bytes are not in the record: then what that says, and what was expected', () => {
    const options = (text: string): LoggedEvent => {
      return { pcr: 9, type: 6, data: tagged(0x8f3b22ed, ascii('LOADED_IMAGE::LoadOptions\0')), hashed: u16z(text) }
    }
    const predicted: PredictedEvent = {
      pcr: 9,
      type: 6,
      by: 'kernel',
      what: 'load options of the kernel',
      measured: { kind: 'bytes', bytes: u16z('quiet') },
    }
    expect(told(compareEvents([predicted], logged([options('quiet debug')]), ['sha256']))).toEqual([
      expect.stringMatching(
        /^9 different: load options of the kernel: its content is not "quiet", its record says "LOADED_IMAGE::LoadOptions \(tag 8f3b22ed\)"; expected sha256/,
      ),
    ])
  })

  it('never from data that contradicts its digest', () => {
    const forged = { ...boot('BootOrder', Buffer.of(9, 0)), hashed: Buffer.of(7, 0) }
    expect(cause(boot('BootOrder', Buffer.of(2, 0)), forged)).not.toContain('Boot0009')
  })

  it('and stays short, whatever the record has', () => {
    const line = (text: string): LoggedEvent => ({ pcr: 12, type: 0xd, data: u16z(text) })
    expect(cause(line('a'.repeat(100_000)), line('b'.repeat(100_000))).length).toBeLessThan(200_000)
    const found = compareEvents([], logged([line('b'.repeat(100_000))]), ['sha256'])
    expect(found[0]?.cause.length).toBeLessThan(600)
  })
})
