import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseEfiVariableStore, parseSmbiosTable } from '../../formats/index.ts'
import {
  type ActualEvent,
  actualEvents,
  type BootMachine,
  compareEvents,
  EV_SEPARATOR,
  type EventFinding,
  EXIT_BOOT_SERVICES_RETRY,
  type PredictedEvent,
  parseEventLog,
  parseUserspaceLog,
  predictBoot,
  summarizeFindings,
} from '../index.ts'
import { bootDisk, type Files, loader, machineWith, uki } from './boot/boot-disk.test-support.ts'
import { predictedDigests } from './event.ts'

const BANKS = ['sha1', 'sha256'] as const
const BOOT = 'EFI/BOOT/BOOTX64.EFI'
const UKI = 'EFI/Linux/test_1.efi'

const predict = (machine: BootMachine) => predictBoot({ machine, system: {}, banks: BANKS }).events

/** The records that a machine leaves which does all that is predicted of it. */
function boot(events: readonly PredictedEvent[]): ActualEvent[] {
  return events.map((event, index): ActualEvent => {
    const digests = predictedDigests(event, BANKS)
    const { pcr, type, measured } = event
    if (type === 'word') {
      const string = measured.kind === 'bytes' ? Buffer.from(measured.bytes).toString().replaceAll('\\', '\\\\') : ''
      return {
        pcr,
        type,
        digests,
        record: { offset: 0, target: { kind: 'pcr', pcr }, digests, unverified: { string } },
      }
    }
    const record = { index, offset: 0, pcr, untrustedType: type, digests, otherDigests: new Map() }
    return { pcr, type, digests, record: { ...record, unverifiedData: event.data ?? Buffer.alloc(0) } }
  })
}

function told(findings: readonly EventFinding[]): string[] {
  return findings
    .filter(({ status }) => status !== 'equal')
    .map(({ pcr, status, cause }) => `${pcr} ${status}: ${cause.replaceAll(/[0-9a-f]{16}…/g, '…')}`)
}

const files = (changes: Files = {}): Files => ({
  [BOOT]: loader(),
  'loader/loader.conf': 'timeout 0\n',
  [UKI]: uki(),
  ...changes,
})
const original = machineWith({ esp: files(), root: 'ext4' })
const expected = predict(original)
/** What is said of a machine that is not the one of the prediction. */
const compared = (machine: BootMachine): string[] => told(compareEvents(expected, boot(predict(machine)), BANKS))
const digests = 'expected sha256 …, found …'

describe('a boot that is not the predicted one', () => {
  it('is told from one that is', () => {
    const findings = compareEvents(expected, boot(expected), BANKS)
    expect(findings.map(({ status }) => status)).toEqual(expected.map(() => 'equal'))
    expect(findings.map(({ cause }) => cause).join('')).toBe('')
    const tail = expected.filter(({ group }) => group !== EXIT_BOOT_SERVICES_RETRY)
    expect(told(compareEvents(expected, boot(tail), BANKS))).toEqual([])
  })

  it('has another section: the section, and the image that it is in', () => {
    const changed = uki({ osRelease: 'ID=other\n' })
    expect(compared(machineWith({ esp: files({ [UKI]: changed }), root: 'ext4' }))).toEqual([
      `4 different: image ${UKI}: its content differs; ${digests}`,
      `9 different: initrd: its content differs; ${digests}`,
      `11 different: section .osrel of ${UKI}: its content differs; ${digests}`,
    ])
  })

  it('has one section more', () => {
    const changed = uki({ more: [['.sbat', 'sbat,1']] })
    expect(compared(machineWith({ esp: files({ [UKI]: changed }), root: 'ext4' }))).toEqual([
      expect.stringMatching(/^4 different: image /),
      '11 unexpected: EV_IPL ".sbat": measured, but not predicted; sha256 …',
      '11 unexpected: EV_IPL ".sbat": measured, but not predicted; sha256 …',
    ])
  })

  it('has another loader.conf, or none', () => {
    expect(compared(machineWith({ esp: files({ 'loader/loader.conf': 'timeout 5\n' }), root: 'ext4' }))).toEqual([
      `5 different: file loader/loader.conf: its content is not "timeout 0\\n"; ${digests}`,
    ])
    const { 'loader/loader.conf': _, ...without } = files()
    expect(compared(machineWith({ esp: without, root: 'ext4' }))).toEqual([
      '5 missing: file loader/loader.conf: predicted, but not measured; expected sha256 …',
    ])
  })

  it('has another command line in its kernel image: the predicted one', () => {
    const esp = files({ [UKI]: uki({ commandLine: 'quiet' }) })
    expect(compared(machineWith({ esp, root: 'ext4' }))).toContain(
      `9 different: load options of the kernel: its content is not "console=ttyS0 quiet"; ${digests}`,
    )
  })

  it('is not told by the name of a file, which is not measured', () => {
    const { [UKI]: kernel = '', ...rest } = files()
    expect(compared(machineWith({ esp: { ...rest, 'EFI/Linux/test_2.efi': kernel }, root: 'ext4' }))).toEqual([])
  })

  it('has strings in its SMBIOS', () => {
    expect(compared(machineWith({ esp: files(), root: 'ext4' }, { strings: ['one'] }))).toEqual([
      '1 unexpected: EV_EVENT_TAG "smbios:type11 (tag c0b3bd23)": measured, but not predicted; sha256 …',
    ])
  })

  it('has another command line from the machine: both of them', () => {
    const extra = (words: string) => ({ strings: [`io.systemd.stub.kernel-cmdline-extra=${words}`] })
    const before = predict(machineWith({ esp: files(), root: 'ext4' }, extra('a=1')))
    const after = predict(machineWith({ esp: files(), root: 'ext4' }, extra('a=2')))
    expect(told(compareEvents(before, boot(after), BANKS)).filter((line) => line.startsWith('12'))).toEqual([
      `12 different: command line of the machine: expected "a=1", found "a=2"; ${digests}`,
    ])
  })

  it('has another root file system: both words', () => {
    const disk = bootDisk({ esp: files(), root: 'ext4' })
    disk.write('MY', disk.indexOf('my:root'))
    const changed = machineWith({ esp: files(), root: 'ext4' })
    const reader = { size: disk.byteLength, read: (at: number, length: number) => disk.subarray(at, at + length) }
    expect(compared({ ...changed, disk: reader })).toEqual([
      expect.stringMatching(
        /^15 different: root file system: expected "file-system:\/:ext4:.*:my\\x3aroot:.*", found "file-system:\/:ext4:.*:MY\\x3aroot:.*"; expected sha256/,
      ),
    ])
  })

  it('has another partition table: the field', () => {
    expect(compared(machineWith({ esp: files() }))).toEqual([
      expect.stringMatching(/^5 different: partition table .*: .*without partition 2 "root-x86-64"; expected sha256/),
      expect.stringMatching(/^15 missing: root file system: predicted, but not measured/),
    ])
  })
})

describe.for(['minimal', 'cloud'])('the recorded boot of %s', (image) => {
  const fixtures = join(import.meta.dirname, 'fixtures')
  const fixture = (name: string): Buffer => readFileSync(join(fixtures, image, name))
  const directory = join(import.meta.dirname, '..', '..', '..', 'out', image, '1')

  it('is as predicted, but for the boot secret', ({ skip, onTestFinished }) => {
    let file: string
    try {
      const { artifacts } = JSON.parse(readFileSync(join(directory, 'build.json'), 'utf8'))
      const disk = artifacts.find(({ role }: { role: string }) => role === 'disk')
      if (disk.sha256 !== JSON.parse(fixture('image.json').toString()).diskSha256) throw new Error('another disk')
      file = join(directory, disk.file)
    } catch {
      return skip(`needs the recorded disk: ./bootwright build ${image}`)
    }
    const descriptor = openSync(file, 'r')
    onTestFinished(() => closeSync(descriptor))
    const { events } = predictBoot({
      machine: {
        disk: {
          size: fstatSync(descriptor).size,
          read(offset, length) {
            const bytes = Buffer.alloc(length)
            readSync(descriptor, bytes, 0, length, offset)
            return bytes
          },
        },
        variables: parseEfiVariableStore(gunzipSync(readFileSync(join(fixtures, 'variables-before.fd.gz')))).variables,
        smbios: parseSmbiosTable(fixture('DMI')),
        isSecureBootEnabled: false,
        offersRandomSeed: true,
        consoles: { serialPort: 0, virtioConsoles: 1, hasGraphics: false },
      },
      system: image === 'cloud' ? { userData: fixture('user-data') } : {},
      banks: ['sha256'],
    })
    const all = actualEvents(parseEventLog(fixture('event-log.bin')), parseUserspaceLog(fixture('tpm2-measure.log')))
    // Behind what the firmware measures before it starts anything.
    const actual = all.slice(all.findLastIndex(({ type }) => type === EV_SEPARATOR) + 1)
    const findings = compareEvents(events, actual, ['sha256'])
    expect(told(findings)).toEqual([
      '9 unknown: initrd: cannot be known before the boot: it contains the boot secret, and the stub makes up LoaderBootSecret, which is not in the variable store; found sha256 …',
    ])
    expect(findings.map(({ cause }) => cause).filter((cause) => cause.includes('recorded'))).toEqual([])
    expect(summarizeFindings(findings).get(11)).toMatchObject({ predicted: 16, equal: 16 })
  })
})
