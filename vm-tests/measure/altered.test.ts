import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import {
  EFI_VARIABLE_BOOTSERVICE_ACCESS,
  EFI_VARIABLE_NON_VOLATILE,
  EFI_VARIABLE_RUNTIME_ACCESS,
  parseGuid,
  withEfiVariable,
} from '../../src/formats/index.ts'
import { DEFAULT_SPEC, type MachineSpec, machine } from '../../src/machine/index.ts'
import { openScene } from '../../src/scene/index.ts'
import { expect, test } from '../../src/testing/vitest.ts'
import { AlteredDisk } from '../support/altered-disk.ts'
import { differences, logsOf, predictorFor, unknowns } from '../support/measured.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from '../support/scene.ts'

const UKI = 'EFI/BOOT/BOOTX64.EFI'
const DIGESTS = 'expected sha256 …, found …'
const image = `PCR 4 different: image ${UKI}: its content differs; ${DIGESTS}`
const SMBIOS_TABLE = expect.stringMatching(/^PCR 1 different: SMBIOS structure table: its content differs/)
const section = (name: string) => `PCR 11 different: section ${name} of ${UKI}: its content differs; ${DIGESTS}`

describe('a machine that has booted', () => {
  test('is told from one with another byte in any section of the UKI, by the section', async ({ boot }) => {
    await using running = await boot('minimal')
    const { spec } = running
    const logs = await logsOf(running)
    const predict = await predictorFor(spec)
    expect(differences(await predict(spec), logs)).toEqual([])
    await using disk = await AlteredDisk.copyOf(spec.image)
    const altered = { ...spec, image: { ...spec.image, diskPath: disk.path } }
    const told: Record<string, string[]> = {}
    for (const name of disk.sections(UKI)) {
      const place = disk.place(UKI, name)
      disk.flip(place)
      told[name] = differences(await predict(altered), logs)
      disk.flip(place)
    }
    // The code of the stub is in no section that it measures itself.
    const stub = Object.fromEntries(['.text', '.rodata', '.data', '.sdmagic', '.reloc'].map((name) => [name, [image]]))
    const measured = ['.sbat', '.osrel', '.uname', '.linux', '.initrd'].map((name) => [name, [image, section(name)]])
    expect(told).toEqual({
      ...stub,
      ...Object.fromEntries(measured),
      '.cmdline': [
        image,
        expect.stringMatching(
          /^PCR 9 different: load options of the kernel: its content is not ".*"; expected sha256 /,
        ),
        section('.cmdline'),
      ],
    })
  })

  test('is told from one with another byte elsewhere, by what it is', async ({ boot }) => {
    await using running = await boot('minimal')
    const { spec } = running
    const logs = await logsOf(running)
    const predict = await predictorFor(spec)
    await using disk = await AlteredDisk.copyOf(spec.image)
    const altered = { ...spec, image: { ...spec.image, diskPath: disk.path } }
    disk.flipPartitionName()
    expect(differences(await predict(altered), logs)).toEqual([
      expect.stringMatching(
        /^PCR 5 different: partition table .*: partition 1 "Esp": name expected "Esp", found "esp"; /,
      ),
    ])

    const [qemu] = /\d+\.\d+/.exec((await tools()).versions.qemu ?? '') ?? []
    const smbios = { system: { serialNumber: 'S-0' } }
    expect(differences(await predict({ ...spec, smbios }), logs)).toEqual([
      SMBIOS_TABLE,
      `PCR 1 different: smbios:type1: its strings are not "QEMU", "Standard PC (Q35 + ICH9, 2009)", "pc-q35-${qemu}", "S-0"; ${DIGESTS}`,
    ])
    const credentials = { some: 'credential' }
    expect(differences(await predict({ ...spec, credentials }), logs)).toEqual([
      SMBIOS_TABLE,
      `PCR 1 different: smbios:type11: its content differs; ${DIGESTS}`,
    ])

    const variablesPath = join(disk.directory, 'variables.fd')
    const store = await readFile(join(running.directory, 'variables.fd'))
    const at = store.indexOf(Buffer.from('UEFI Misc Device', 'utf16le'))
    store.writeUInt8(store.readUInt8(at) ^ 0x20, at)
    await writeFile(variablesPath, store)
    expect(differences(await predict(spec, { variablesPath }), logs)).toEqual([
      expect.stringMatching(
        /^PCR 1 different: variable Boot000\d .*: expected "uEFI Misc Device" .*, found "UEFI Misc Device" /,
      ),
    ])
  })
})

/** A list of one SHA-256 digest (UEFI 32.4.1, EFI_CERT_SHA256_GUID). */
function signatureList(digest: Uint8Array): Buffer {
  const sizes = Buffer.alloc(12)
  sizes.writeUInt32LE(28 + 48, 0)
  sizes.writeUInt32LE(48, 8)
  const owner = parseGuid('b0070000-3333-4444-8555-666666666666')
  return Buffer.concat([parseGuid('c1c41626-504c-4092-aca9-41f936934328'), sizes, owner, digest])
}

const SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f'
const LOADER = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f'
const PERSISTENT = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS

/** The store of a machine with a signature database, and with a boot secret. */
async function storeWith(path: string, original: string, digest: Buffer): Promise<void> {
  const db = { name: 'db', vendorGuid: SECURITY_DATABASE, attributes: PERSISTENT | EFI_VARIABLE_RUNTIME_ACCESS }
  const secret = { name: 'LoaderBootSecret', vendorGuid: LOADER, attributes: PERSISTENT, data: Buffer.alloc(32, 7) }
  const store = withEfiVariable(await readFile(original), secret)
  await writeFile(path, withEfiVariable(store, { ...db, data: signatureList(digest) }))
}

describe('a machine that boots with other bytes than predicted', () => {
  test('names the UKI, its sections, the initrd, partition table, variable and string', async () => {
    const built = await builtImage('minimal')
    const [toolchain, plain] = [await tools(), await plainFirmware()]
    await using disk = await AlteredDisk.copyOf(built)
    await disk.writeOnEsp('loader/boot-secret-mixin', Buffer.alloc(32, 9))
    const variablesPath = join(disk.directory, 'variables.fd')
    const digest = Buffer.alloc(32, 0xd5)
    await storeWith(variablesPath, plain.variablesPath, digest)
    const original: MachineSpec = {
      ...DEFAULT_SPEC,
      image: { ...built, diskPath: disk.path },
      firmware: { ...plain, variablesPath },
      accelerator: await hostAccelerator(),
      uuid: 'b0070000-1111-4222-8333-444444444444',
      smbios: { system: { serialNumber: 'S-0' } },
    }
    const predict = await predictorFor({ ...original, firmware: plain })
    const expected = await predict(original)

    disk.flip(disk.place(UKI, '.uname'))
    // Of the checksum behind what is unpacked: the kernel complains, and has all files.
    disk.flip(disk.place(UKI, '.initrd', 'last'))
    disk.flipDiskGuid()
    digest.writeUInt8(0xd4, 0)
    await storeWith(variablesPath, plain.variablesPath, digest)
    const altered = { ...original, smbios: { system: { serialNumber: 'S-1' } } }

    const { macAddress } = altered
    await using scene = await openScene({ toolchain, directory: disk.directory, cloud: undefined, macAddress })
    const name = `altered-${randomUUID()}`
    const context = { toolchain, network: scene.network, stateParent: STATES, name }
    await using running = await machine(altered, context).start()
    await running.booted()
    const logs = await logsOf(running)
    expect(differences(await predict(altered), logs)).toEqual([])
    expect(unknowns(expected, logs)).toEqual([expect.stringMatching(/^PCR 10 unknown: boot aggregate of IMA/)])
    expect(differences(expected, logs)).toEqual([
      // The firmware leaves serial numbers out of what it measures.
      expect.stringMatching(/^PCR 1 different: smbios:type1: its strings are not .*, "S-0"; /),
      image,
      expect.stringMatching(/^PCR 5 different: partition table .*: disk GUID expected [0-9a-f-]+, found [0-9a-f-]+; /),
      expect.stringMatching(
        /^PCR 7 different: variable db: expected 1 signature, found 1: added sha256 d4d5.*; without sha256 d5d5/,
      ),
      `PCR 9 different: initrd: its content differs; ${DIGESTS}`,
      section('.initrd'),
      section('.uname'),
    ])
  })
})
