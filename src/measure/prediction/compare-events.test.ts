import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  type EfiSignature,
  efiSignatureType,
  parseEfiVariableStore,
  withEfiVariable,
  writeEfiSignatureLists,
} from '../../formats/index.ts'
import {
  type ActualEvent,
  actualEvents,
  calibrationFrom,
  compareEventLogs,
  compareEvents,
  digestsOf,
  type EventFinding,
  EXIT_BOOT_SERVICES_RETRY,
  eventsAsPredicted,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  type OvmfFirmware,
  type PredictedEvent,
  parseEventLog,
  parseUserspaceLog,
  predictFirmware,
  summarizeFindings,
} from '../index.ts'
import {
  action,
  agileLog,
  ascii,
  type LoggedEvent,
  ovmfBoot,
  tagged,
  u16z,
  userspaceRecord,
  variable,
} from '../log-writer.test-support.ts'

const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const SECURITY = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'

function recorded(image: string): ActualEvent[] {
  const directory = join(import.meta.dirname, 'fixtures', image)
  return actualEvents(
    parseEventLog(readFileSync(join(directory, 'event-log.bin'))),
    parseUserspaceLog(readFileSync(join(directory, 'tpm2-measure.log'))),
  )
}

function logged(events: readonly LoggedEvent[], words = ''): ActualEvent[] {
  return actualEvents(parseEventLog(agileLog(events)), parseUserspaceLog(ascii(words)))
}

const notEqual = (findings: readonly EventFinding[]): EventFinding[] =>
  findings.filter(({ status }) => status !== 'equal')
/** PCR, status and cause of everything that is not as predicted. */
const told = (findings: readonly EventFinding[]): string[] =>
  notEqual(findings).map(({ pcr, status, cause }) => `${pcr} ${status}: ${cause}`)

/** A record with another digest, and no word about it. */
function altered(event: ActualEvent): ActualEvent {
  return { ...event, digests: new Map([...event.digests].map(([bank, digest]) => [bank, digest.map((b) => b ^ 1)])) }
}

function moved(events: readonly ActualEvent[], from: number, to: number): ActualEvent[] {
  const result = events.toSpliced(from, 1)
  const event = events[from]
  return event === undefined ? result : result.toSpliced(to, 0, event)
}

const sources: readonly (readonly [string, ActualEvent[], readonly HashAlgorithm[]])[] = [
  ['minimal, recorded', recorded('minimal'), ['sha256']],
  ['cloud, recorded', recorded('cloud'), ['sha256']],
  [
    'four banks, written',
    logged(ovmfBoot(), userspaceRecord(11, 'enter-initrd') + userspaceRecord(15, 'x')),
    HASH_ALGORITHMS,
  ],
]

describe.for(sources)('compareEvents() of a log and the prediction made of itself: %s', ([_, actual, banks]) => {
  const predicted = eventsAsPredicted(actual)
  const sameDigest = (a?: ActualEvent, b?: ActualEvent): boolean =>
    Buffer.compare(a?.digests.get('sha256') ?? Buffer.of(), b?.digests.get('sha256') ?? Buffer.of()) === 0
  /** Positions of the other records of its PCR. */
  const inPcr = (pcr: number | undefined): number[] => [...actual.keys()].filter((index) => actual[index]?.pcr === pcr)

  it('is equal throughout, in the order of PCRs', () => {
    const findings = compareEvents(predicted, actual, banks)
    expect(findings.map(({ status, cause }) => `${status}${cause}`)).toEqual(actual.map(() => 'equal'))
    expect(findings.map(({ pcr }) => pcr)).toEqual(actual.map(({ pcr }) => pcr).sort((a, b) => a - b))
    expect(
      findings.every(
        (finding) => finding.actual?.record === actual[predicted.indexOf(finding.predicted as PredictedEvent)]?.record,
      ),
    ).toBe(true)
  })

  it('misses each record that is dropped, there and nowhere else', () => {
    for (const [index, event] of actual.entries()) {
      const findings = notEqual(compareEvents(predicted, actual.toSpliced(index, 1), banks))
      expect(findings.map(({ status, pcr }) => [status, pcr])).toEqual([['missing', event.pcr]])
      expect(sameDigest(actual[predicted.indexOf(findings[0]?.predicted as PredictedEvent)], event)).toBe(true)
    }
  })

  it('finds each record that is inserted, in its place', () => {
    for (const [index, event] of actual.entries()) {
      const inserted = altered(event)
      const findings = compareEvents(predicted, actual.toSpliced(index, 0, inserted), banks)
      expect(notEqual(findings).map(({ status, actual: found }) => [status, found])).toEqual([['unexpected', inserted]])
      const at = findings.findIndex(({ actual: found }) => found === inserted)
      expect(findings[at + 1]?.actual).toBe(event)
    }
  })

  it('tells each record that is altered from all others', () => {
    for (const [index, event] of actual.entries()) {
      const findings = notEqual(compareEvents(predicted, actual.with(index, altered(event)), banks))
      expect(findings).toMatchObject([{ status: 'different', pcr: event.pcr, predicted: predicted[index] }])
    }
  })

  it('says of records of a PCR in another order just that', () => {
    for (const [index, event] of actual.entries()) {
      const others = inPcr(event.pcr)
      const next = others[others.indexOf(index) + 1]
      if (next === undefined || sameDigest(actual[next], event)) continue
      const findings = notEqual(compareEvents(predicted, moved(actual, index, next), banks))
      expect(findings.map(({ status }) => status).sort()).toEqual(['missing', 'unexpected'])
      expect(findings.map(({ pcr }) => pcr)).toEqual([event.pcr, event.pcr])
      for (const { cause } of findings) expect(cause).toMatch(/out of order, (later|earlier) than predicted/)
      const [missing, unexpected] = findings.toSorted((a, b) => a.status.localeCompare(b.status))
      expect(sameDigest(actual[predicted.indexOf(missing?.predicted as PredictedEvent)], unexpected?.actual)).toBe(true)
    }
  })

  it('keeps two that change places in their PCR', () => {
    for (const pcr of new Set(actual.map((event) => event.pcr))) {
      const positions = inPcr(pcr)
      const [first, last] = [positions[0] ?? 0, positions.at(-1) ?? 0]
      const [a, b] = [actual[first], actual[last]]
      if (a === undefined || b === undefined || sameDigest(a, b)) continue
      const findings = notEqual(compareEvents(predicted, actual.with(first, b).with(last, a), banks))
      expect(new Set(findings.map((finding) => finding.pcr))).toEqual(new Set([pcr]))
      const touched = findings.flatMap((finding) => [finding.actual, finding.actual]).filter((one) => one !== undefined)
      expect(touched.every((one) => sameDigest(one, a) || sameDigest(one, b) || positions.length < 4)).toBe(true)
    }
  })

  it('names the PCR into which a record went instead', () => {
    const index = actual.findIndex(({ pcr }) => pcr === 11)
    const stray = { ...(actual[index] as ActualEvent), pcr: 12 }
    const findings = notEqual(compareEvents(predicted, actual.with(index, stray), banks))
    expect(findings).toMatchObject([
      { pcr: 11, status: 'missing', cause: expect.stringContaining('measured into PCR 12 instead') },
      { pcr: 12, status: 'unexpected', cause: expect.stringContaining('belongs into PCR 11') },
    ])
  })
})

describe('compareEvents() decides by digests', () => {
  const actual = logged(ovmfBoot())
  const predicted = eventsAsPredicted(actual)

  it.for(HASH_ALGORITHMS)('in every bank: %s alone is another one', (bank) => {
    const event = actual[20] as ActualEvent
    const digests = new Map(event.digests).set(
      bank,
      (event.digests.get(bank) ?? Buffer.of()).map((byte) => byte ^ 1),
    )
    const others = HASH_ALGORITHMS.filter((name) => name !== bank).reverse()
    const findings = compareEvents(predicted, actual.with(20, { ...event, digests }), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([
      expect.stringMatching(
        new RegExp(
          `expected ${bank} .*${others.join(', ')} as predicted: the banks were not extended by the same bytes`,
        ),
      ),
    ])
    expect(told(compareEvents(predicted, actual.with(20, { ...event, digests }), others))).toEqual([])
  })

  it('and a record without one for a bank is not as predicted', () => {
    const event = actual[20] as ActualEvent
    const digests = new Map([...event.digests].filter(([bank]) => bank !== 'sha384'))
    const findings = compareEvents(predicted, actual.with(20, { ...event, digests }), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([expect.stringContaining('but the record has no sha384 digest')])
  })

  it('and takes two records with the same gap for the same', () => {
    const events = ovmfBoot().map((event, index) =>
      index % 2 === 0 ? event : { ...event, banks: ['sha256'] as const },
    )
    const log = parseEventLog(agileLog(events))
    expect(told(compareEventLogs({ log }, { log }))).toEqual([])
    const whole = parseEventLog(agileLog(ovmfBoot()))
    expect(compareEventLogs({ log: whole }, { log }).map(({ status }) => status)).toContain('different')
  })

  it('and not by type or data: those are remarks', () => {
    const index = actual.findIndex(({ type }) => type === 0xd)
    const event = actual[index]
    if (event === undefined || event.type === 'word') throw new Error('no EV_IPL')
    const record = { ...event.record, unverifiedData: u16z('.innocent') }
    expect(compareEvents(predicted, actual.with(index, { ...event, record }), ['sha256'])).toContainEqual(
      expect.objectContaining({
        status: 'equal',
        cause: 'name of section .linux: measured as predicted, but recorded as ".innocent", not ".linux"',
      }),
    )
    const findings = compareEvents(predicted, actual.with(index, { ...event, type: 0x80000007 }), ['sha256'])
    expect(notEqual(findings)).toEqual([])
    expect(findings).toContainEqual(
      expect.objectContaining({ cause: expect.stringContaining('recorded as EV_EFI_ACTION, not EV_IPL') }),
    )
  })

  it('and needs a bank', () => {
    expect(() => compareEvents(predicted, actual, [])).toThrow('no PCR bank')
  })
})

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

describe('what cannot be known', () => {
  const unknown = (facts: Partial<PredictedEvent>): PredictedEvent => {
    return { pcr: 9, type: 6, by: 'kernel', what: 'initrd', measured: { kind: 'unknown', why: 'a secret' }, ...facts }
  }
  const record = (text: string, hashed = text): LoggedEvent => {
    return { pcr: 9, type: 6, data: tagged(1, ascii(text)), hashed: ascii(hashed) }
  }

  it('is any record of its type', () => {
    const findings = compareEvents([unknown({})], logged([record('whatever')]), HASH_ALGORITHMS)
    expect(told(findings)).toEqual([
      expect.stringMatching(
        /^9 unknown: initrd: cannot be known before the boot: a secret; found sha512 [0-9a-f]{16}…$/,
      ),
    ])
    expect(told(compareEvents([unknown({})], logged([action(9, 'x')]), HASH_ALGORITHMS))).toEqual([
      expect.stringMatching(/^9 missing: initrd: predicted, but not measured/),
      expect.stringMatching(/^9 unexpected: EV_EFI_ACTION "x": measured, but not predicted; sha512/),
    ])
  })

  it('is not a record that says that it is another thing', () => {
    const data = tagged(1, ascii('initrd'))
    expect(told(compareEvents([unknown({ data })], logged([record('initrd')]), ['sha256']))[0]).toContain('unknown')
    expect(told(compareEvents([unknown({ data })], logged([record('else')]), ['sha256']))[0]).toContain('different')
  })

  it('leaves the records around it to be compared', () => {
    const around = eventsAsPredicted(logged([record('before'), record('after')]))
    const predicted = around.toSpliced(1, 0, unknown({}))
    const actual = logged([record('before'), record('secret'), record('after', 'changed')])
    expect(compareEvents(predicted, actual, ['sha256']).map(({ status }) => status)).toEqual([
      'equal',
      'unknown',
      'different',
    ])
    const dropped = logged([record('before'), record('after')])
    expect(compareEvents(predicted, dropped, ['sha256']).map(({ status }) => status)).toEqual([
      'equal',
      'missing',
      'equal',
    ])
  })

  it('may stand for several records in a row, which are one prediction', () => {
    const last = eventsAsPredicted(logged([record('last')]))
    const findings = compareEvents(
      [unknown({ standsFor: 'several' }), ...last],
      logged([record('a'), record('b'), record('c'), record('last')]),
      ['sha256'],
    )
    expect(findings.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'unknown', 'equal'])
    expect(summarizeFindings(findings).get(9)).toMatchObject({ predicted: 2, unknown: 3, equal: 1 })
  })

  it('may stand for anything, or nothing', () => {
    const anything = unknown({ type: 'word', standsFor: 'anything' })
    const actual = logged([action(9, 'a'), record('b')])
    expect(compareEvents([anything], actual, ['sha256']).map(({ status }) => status)).toEqual(['unknown', 'unknown'])
    expect(told(compareEvents([anything], [], ['sha256']))).toEqual([
      '9 unknown: initrd: nothing was measured (a secret)',
    ])
  })

  it('includes a bank in which there is no prediction', () => {
    const digests = new Map([
      ['sha256', Buffer.from(digestsOf(['sha256'], ascii('x')).get('sha256') ?? []).toString('hex')],
    ] as const)
    const partly = unknown({ measured: { kind: 'digests', digests } })
    expect(compareEvents([partly], logged([record('x')]), ['sha256'])).toMatchObject([{ status: 'equal' }])
    expect(told(compareEvents([partly], logged([record('x')]), ['sha1', 'sha256']))).toEqual([
      expect.stringMatching(/^9 unknown: initrd: no sha1 digest of it is known; found sha256/),
    ])
    expect(compareEvents([partly], logged([record('x', 'y')]), ['sha1', 'sha256'])).toMatchObject([
      { status: 'different' },
    ])
  })
})

describe('events of a group', () => {
  const [invocation, failure, success] = ['Invocation', 'Returned with Failure', 'Returned with Success'].map((text) =>
    action(5, `Exit Boot Services ${text}`),
  ) as [LoggedEvent, LoggedEvent, LoggedEvent]
  const long = [invocation, failure, invocation, success]
  const predicted = eventsAsPredicted(logged(long)).map((event, index): PredictedEvent => {
    return index === 1 || index === 2 ? { ...event, group: EXIT_BOOT_SERVICES_RETRY } : event
  })

  it('happen all or not at all', () => {
    expect(compareEvents(predicted, logged(long), HASH_ALGORITHMS).map(({ status }) => status)).toEqual(
      long.map(() => 'equal'),
    )
    const findings = compareEvents(predicted, logged([invocation, success]), HASH_ALGORITHMS)
    expect(findings.map(({ status }) => status)).toEqual(['equal', 'equal'])
    expect(summarizeFindings(findings).get(5)?.predicted).toBe(2)
  })

  it('and not in part', () => {
    const findings = compareEvents(predicted, logged([invocation, failure, success]), HASH_ALGORITHMS)
    expect(notEqual(findings)).toMatchObject([{ status: 'missing', pcr: 5 }])
  })
})

describe('the prediction of the firmware and the recorded boots', () => {
  const fixtures = join(import.meta.dirname, 'firmware', 'fixtures')
  const log = (image: string) => parseEventLog(readFileSync(join(fixtures, image, 'event-log.bin')))
  const store = gunzipSync(readFileSync(join(fixtures, 'variables-before.fd.gz')))
  // The code file is not here, so its two volumes differ.
  const firmware: OvmfFirmware = {
    version: '2026.08+ds-2',
    bios: undefined,
    peifv: ascii('PEIFV'),
    dxefv: ascii('DXEFV'),
    hasSecureBoot: false,
    hasSmm: false,
    hasShell: true,
  }
  const volumes = ['0 different: firmware volume PEIFV', '0 different: firmware volume DXEFV']
  const predict = (changes: Partial<Parameters<typeof predictFirmware>[0]> = {}) =>
    predictFirmware({
      firmware,
      variables: parseEfiVariableStore(store),
      smbiosTable: readFileSync(join(fixtures, 'minimal', 'smbios-table.bin')),
      generationId: 'b0070000-2222-4333-8444-555555555555',
      bootDevice: { pciDevice: 1 },
      calibration: calibrationFrom(log('cloud')),
      ...changes,
    })
  // What the firmware measures before it starts anything.
  const actual = actualEvents(log('minimal')).slice(0, 28)
  const titles = (findings: readonly EventFinding[]): string[] =>
    told(findings).map((line) => line.split(': ', 2).join(': '))

  it('agree in every record', () => {
    const findings = compareEvents(predict(), actual, ['sha256'])
    expect(titles(findings)).toEqual(volumes)
    expect([...summarizeFindings(findings)].map(([pcr, { predicted, equal }]) => [pcr, predicted, equal])).toEqual([
      [0, 4, 2],
      [1, 12, 12],
      [2, 1, 1],
      [3, 1, 1],
      [4, 2, 2],
      [5, 1, 1],
      [6, 1, 1],
      [7, 6, 6],
    ])
  })

  it('differ where a variable does, from what to what', () => {
    const variables = parseEfiVariableStore(
      withEfiVariable(store, { name: 'dbx', vendorGuid: SECURITY, attributes: 0x27, data: Buffer.of(1) }),
    )
    const findings = compareEvents(predict({ variables, bootDevice: { pciDevice: 2 } }), actual, ['sha256'])
    expect(told(findings).slice(2)).toEqual([
      expect.stringMatching(
        /^1 different: variable Boot0002 \(UEFI Misc Device\): expected .*Pci\(0x2,0x0\).*, found .*Pci\(0x1,0x0\)/,
      ),
      expect.stringMatching(/^7 different: variable dbx: expected 1 bytes, found 0, the first difference at byte 0: /),
    ])
  })

  it('leave unknown what was not calibrated, and nothing else', () => {
    const findings = compareEvents(predictFirmware({ firmware, variables: parseEfiVariableStore(store) }), actual, [
      'sha256',
    ])
    expect(titles(findings).slice(0, 2)).toEqual(volumes)
    expect(new Set(titles(findings).slice(2))).toEqual(
      new Set([
        '1 unknown: ACPI blob etc/table-loader and those that it names',
        '1 unknown: SMBIOS structure table',
        '1 unknown: variables BootOrder and Boot####',
      ]),
    )
    expect(summarizeFindings(findings).get(1)).toEqual({
      predicted: 4,
      actual: 12,
      equal: 1,
      different: 0,
      missing: 0,
      unexpected: 0,
      unknown: 11,
    })
  })
})

describe('hostile logs', () => {
  const many = (count: number, first: number): ActualEvent[] =>
    Array.from({ length: count }, (_, index): ActualEvent => {
      const digest = Buffer.alloc(32)
      digest.writeUInt32LE(first + index)
      const record = {
        index,
        offset: 0,
        pcr: 8,
        untrustedType: 0xd,
        digests: new Map([['sha256', digest]] as const),
        otherDigests: new Map(),
        unverifiedData: u16z('x'),
      }
      return { pcr: 8, type: 0xd, digests: record.digests, record }
    })
  const statuses = (findings: readonly EventFinding[]): Record<string, number> =>
    Object.fromEntries(Object.entries(summarizeFindings(findings).get(8) ?? {}).filter(([, count]) => count > 0))

  it('of 100,000 records are compared record by record where one was altered, dropped or inserted', () => {
    const actual = many(100_000, 0)
    const predicted = eventsAsPredicted(actual)
    const [one] = many(1, 5_000_000)
    if (one === undefined) throw new Error('no record')
    expect(statuses(compareEvents(predicted, actual.with(70_000, one), ['sha256']))).toEqual({
      predicted: 100_000,
      actual: 100_000,
      equal: 99_999,
      different: 1,
    })
    expect(statuses(compareEvents(predicted, actual.toSpliced(70_000, 1), ['sha256']))).toMatchObject({ missing: 1 })
    expect(statuses(compareEvents(predicted, actual.toSpliced(9, 0, one), ['sha256']))).toMatchObject({ unexpected: 1 })
  })

  it('that differ throughout are paired by position, or not at all, instead of without end', () => {
    const predicted = eventsAsPredicted(many(5_000, 0))
    expect(statuses(compareEvents(predicted, many(5_000, 30_000), ['sha256']))).toEqual({
      predicted: 5_000,
      actual: 5_000,
      different: 5_000,
    })
    expect(statuses(compareEvents(predicted, many(5_001, 30_000), ['sha256']))).toEqual({
      predicted: 5_000,
      actual: 5_001,
      missing: 5_000,
      unexpected: 5_001,
    })
  })

  it('cost no more when all records are the same one', () => {
    const [one] = many(1, 0)
    const [other] = many(1, 1)
    if (one === undefined || other === undefined) throw new Error('no record')
    const predicted = eventsAsPredicted(Array.from({ length: 50_000 }, () => one))
    const actual = [other, ...Array.from({ length: 49_000 }, () => one), other]
    const counts = statuses(compareEvents(predicted, actual, ['sha256']))
    expect(counts.predicted).toBe(50_000)
  })
})
