import { fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  type DiskReader,
  diskRange,
  FatVolume,
  parseEfiVariableStore,
  parseGpt,
  parsePe,
  parseSmbiosTable,
} from '../../../formats/index.ts'
import {
  type BootInput,
  type BootPrediction,
  deriveBootSecret,
  digestsOf,
  EXIT_BOOT_SERVICES_RETRY,
  eventTypeName,
  extendsOf,
  parseEventLog,
  parsePcrBanks,
  parseUserspaceLog,
  predictBoot,
  replay,
} from '../../index.ts'
import type { PredictedEvent } from '../event.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const OUT = join(import.meta.dirname, '..', '..', '..', '..', 'out')
const EV_SEPARATOR = 'EV_SEPARATOR'

/** The disk that was recorded, if it has been built here. */
function recordedDisk(image: string): DiskReader | undefined {
  try {
    const directory = join(OUT, image, '1')
    const { artifacts } = JSON.parse(readFileSync(join(directory, 'build.json'), 'utf8'))
    const { file, sha256 } = artifacts.find(({ role }: { role: string }) => role === 'disk')
    if (sha256 !== JSON.parse(fixture(image, 'image.json').toString()).diskSha256) return undefined
    const descriptor = openSync(join(directory, file), 'r')
    return {
      size: fstatSync(descriptor).size,
      read(offset, length) {
        const bytes = Buffer.alloc(length)
        readSync(descriptor, bytes, 0, length, offset)
        return bytes
      },
    }
  } catch {
    return undefined
  }
}

function fixture(...path: string[]): Buffer {
  return readFileSync(join(FIXTURES, ...path))
}

interface Record {
  readonly pcr: number
  readonly type: string
  readonly sha256: string
  readonly data: string | undefined
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What the machine measured from its first boot loader on: in PCRs 0 to 7 everything behind the firmware's separator. */
function recorded(image: string): { firmware: Record[]; boot: Record[] } {
  const log = extendsOf(parseEventLog(fixture(image, 'event-log.bin'))).map(
    (event): Record => ({
      pcr: event.pcr,
      type: eventTypeName(event.untrustedType),
      sha256: hex(event.digests.get('sha256') ?? Buffer.of()),
      data: hex(event.unverifiedData),
    }),
  )
  const words = parseUserspaceLog(fixture(image, 'tpm2-measure.log')).records.map(
    ({ target, digests, unverified }) => ({
      pcr: target.kind === 'pcr' ? target.pcr : -1,
      type: 'word',
      sha256: hex(digests.get('sha256') ?? Buffer.of()),
      data: unverified.string,
    }),
  )
  const end = log.findLastIndex(({ type }) => type === EV_SEPARATOR)
  const isFirmware = (record: Record): boolean =>
    log.indexOf(record) <= end || (record.pcr < 4 && log.indexOf(record) > end && record.type === EV_SEPARATOR)
  return { firmware: log.filter(isFirmware), boot: [...log.filter((record) => !isFirmware(record)), ...words] }
}

function predictedRecord(event: PredictedEvent): Record | string {
  const { measured } = event
  if (measured.kind === 'unknown') return `${event.what}: ${measured.why}`
  const sha256 =
    measured.kind === 'bytes'
      ? hex(digestsOf(['sha256'], measured.bytes).get('sha256') ?? Buffer.of())
      : (measured.digests.get('sha256') ?? '')
  const isWord = event.type === 'word'
  const word = isWord && measured.kind === 'bytes' ? Buffer.from(measured.bytes).toString() : undefined
  const data = isWord ? word : event.data === undefined ? undefined : hex(event.data)
  return { pcr: event.pcr, type: isWord ? 'word' : eventTypeName(Number(event.type)), sha256, data }
}

const INITRD_UNKNOWN =
  'initrd: it contains the boot secret, and the stub makes up LoaderBootSecret, which is not in the variable store'

function input(image: string, disk: DiskReader): BootInput {
  return {
    machine: {
      disk,
      variables: parseEfiVariableStore(gunzipSync(fixture('variables-before.fd.gz'))).variables,
      smbios: parseSmbiosTable(fixture(image, 'DMI')),
      isSecureBootEnabled: false,
      offersRandomSeed: true,
      consoles: { serialPort: 0, virtioConsoles: 1, hasGraphics: false },
    },
    system: image === 'cloud' ? { userData: fixture(image, 'user-data') } : {},
    banks: ['sha256'],
  }
}

describe.for(['minimal', 'cloud'])('the recorded boot of %s', (image) => {
  const disk = recordedDisk(image)

  it('is predicted: every record of every PCR in its order, but for the boot secret in PCR 9', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    const { boot } = recorded(image)
    const { events, systemdVersion, started, commandLine } = predictBoot(input(image, disk))
    expect(systemdVersion).toBe(262)
    expect(started.at(-1)).toMatch(image === 'cloud' ? /^EFI\/Linux\/cloud-.*\.efi$/ : /^EFI\/BOOT\/BOOTX64\.EFI$/)
    expect(commandLine).toBe(fixture(image, 'cmdline').toString().trimEnd())
    const unknown: string[] = []
    for (let pcr = 0; pcr < 24; pcr++) {
      const actual = boot.filter((record) => record.pcr === pcr)
      const predicted = events.filter((event) => event.pcr === pcr)
      expect(predicted.length, `records of PCR ${pcr}`).toBe(actual.length)
      for (const [index, event] of predicted.entries()) {
        const record = predictedRecord(event)
        const found = actual[index]
        if (typeof record === 'string') unknown.push(record)
        // Device paths and load addresses are not predicted: PCR 4.
        else expect(record, event.what).toEqual({ ...found, data: record.data === undefined ? undefined : found?.data })
      }
    }
    expect(unknown).toEqual([INITRD_UNKNOWN])
    expect(boot.length).toBeGreaterThan(40)
  })

  it('leads, behind what the firmware recorded, to the PCRs that were read', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    const { firmware } = recorded(image)
    const records = [...firmware, ...predictBoot(input(image, disk)).events.map(predictedRecord)].flatMap((record) =>
      typeof record === 'string'
        ? []
        : [{ pcr: record.pcr, digests: new Map([['sha256', Buffer.from(record.sha256, 'hex')] as const]) }],
    )
    const values = replay(records, ['sha256']).values.get('sha256')
    const read = parsePcrBanks(JSON.parse(fixture(image, 'pcrs.json').toString())).get('sha256')
    // 9 has the boot secret, 10 is IMA's.
    const compared = [...(read ?? [])].filter(([pcr]) => pcr !== 9 && pcr !== 10)
    expect(compared.length).toBeGreaterThanOrEqual(14)
    expect(compared).toEqual(compared.map(([pcr]) => [pcr, values?.get(pcr)]))
  })

  it('has two tails in PCR 5', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    const tail = predictBoot(input(image, disk)).events.filter(({ group }) => group === EXIT_BOOT_SERVICES_RETRY)
    expect(tail.map(({ pcr, what }) => [pcr, what])).toEqual([
      [5, 'Exit Boot Services Returned with Failure'],
      [5, 'Exit Boot Services Invocation'],
    ])
  })
})

describe('another boot of minimal, whose boot secret is known', () => {
  const disk = recordedDisk('minimal')
  const { loaderBootSecret, mixin, initrdSha256 } = JSON.parse(fixture('minimal', 'boot-secret.json').toString())

  it('has the predicted initrd in PCR 9', ({ skip }) => {
    if (disk === undefined) return skip('needs the recorded disk: ./bootwright build minimal')
    const { machine, ...rest } = input('minimal', disk)
    const secret = deriveBootSecret(Buffer.from(loaderBootSecret, 'hex'), Buffer.from(mixin, 'hex'), 'minimal')
    const { events } = predictBoot({ ...rest, machine: { ...machine, bootSecret: secret } })
    expect(events.map(({ measured }) => measured.kind)).not.toContain('unknown')
    expect(predictedRecord(events.find(({ what }) => what === 'initrd') as PredictedEvent)).toMatchObject({
      sha256: initrdSha256,
    })
  })
})

/** The disk with one bit flipped. */
function flipped(disk: DiskReader, position: number): DiskReader {
  return {
    size: disk.size,
    read(offset, length) {
      const bytes = Buffer.from(disk.read(offset, length))
      const at = position - offset
      if (at >= 0 && at < length) bytes[at] = (bytes[at] ?? 0) ^ 1
      return bytes
    },
  }
}

/** PCR and name of every event that is measured otherwise. */
function differences(before: BootPrediction, after: BootPrediction): string[] {
  expect(after.events.map(({ what }) => what)).toEqual(before.events.map(({ what }) => what))
  const measured = (event: PredictedEvent | undefined): string =>
    event === undefined ? '' : JSON.stringify(predictedRecord(event))
  return before.events.flatMap((event, index) =>
    measured(event) === measured(after.events[index]) ? [] : [`${event.pcr} ${event.what}`],
  )
}

describe.for(['minimal', 'cloud'])('one flipped bit on the disk of %s', (image) => {
  const disk = recordedDisk(image)

  it('moves the image and the section it lies in, and nothing else', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    // Without a random seed there is no secret, so that the initrd is known as well.
    const predict = (of: DiskReader): BootPrediction => {
      const { machine, ...rest } = input(image, of)
      return predictBoot({ ...rest, machine: { ...machine, offersRandomSeed: false } })
    }
    const before = predict(disk)
    const path = before.started.at(-1) ?? ''
    const esp = parseGpt(disk).partitions[0]
    if (esp === undefined) throw new Error('the disk has no partition')
    const fat = FatVolume.open(diskRange(disk, esp.offset, esp.size))
    const file = fat.find(path)
    if (file === undefined) throw new Error(`the ESP has no ${path}`)
    const pe = parsePe(fat.read(file))
    const place = (offset: number): number => {
      let left = offset
      for (const range of fat.ranges(file)) {
        if (left < range.size) return esp.offset + range.offset + left
        left -= range.size
      }
      throw new Error('outside the file')
    }
    const moved = Object.fromEntries(
      pe.sections
        .filter(({ rawSize }) => rawSize > 0)
        .map((section) => {
          const middle = Math.floor(Math.min(section.rawSize, section.virtualSize) / 2)
          return [section.name, differences(before, predict(flipped(disk, place(section.rawOffset + middle))))]
        }),
    )
    const uki = `4 image ${path}`
    const section = (name: string): string => `11 section ${name} of ${path}`
    expect(moved).toMatchObject({
      '.text': [uki],
      '.linux': [uki, section('.linux')],
      '.osrel': [uki, section('.osrel'), '9 initrd'],
      '.cmdline': [uki, section('.cmdline'), '9 load options of the kernel'],
      '.initrd': [uki, section('.initrd'), '9 initrd'],
      '.uname': [uki, section('.uname')],
      '.sbat': [uki, section('.sbat')],
    })
  })

  it('moves the partition table', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    const before = predictBoot(input(image, disk))
    const gpt = `5 partition table`
    // A damaged primary table makes the firmware use the backup one, whose header names other blocks.
    expect(
      differences(before, predictBoot(input(image, flipped(disk, 512 + 56)))).map((what) => what.slice(0, gpt.length)),
    ).toEqual([gpt])
    const { partitions } = parseGpt(disk)
    expect(partitions).toHaveLength(2)
  })

  it('moves the root file system where its UUID lies', ({ skip }) => {
    if (disk === undefined) return skip(`needs the recorded disk: ./bootwright build ${image}`)
    const before = predictBoot(input(image, disk))
    const root = parseGpt(disk).partitions[1]
    const after = predictBoot(input(image, flipped(disk, (root?.offset ?? 0) + 1024 + 0x68)))
    expect(differences(before, after)).toEqual(['15 root file system'])
  })
})

it('one flipped bit in loader.conf moves its record alone', ({ skip }) => {
  const disk = recordedDisk('cloud')
  if (disk === undefined) return skip('needs the recorded disk: ./bootwright build cloud')
  const esp = parseGpt(disk).partitions[0]
  const fat = FatVolume.open(diskRange(disk, esp?.offset ?? 0, esp?.size ?? 0))
  const file = fat.find('loader/loader.conf')
  const [range] = file === undefined ? [] : fat.ranges(file)
  const before = predictBoot(input('cloud', disk))
  const after = predictBoot(input('cloud', flipped(disk, (esp?.offset ?? 0) + (range?.offset ?? 0))))
  expect(differences(before, after)).toEqual(['5 file loader/loader.conf'])
})
