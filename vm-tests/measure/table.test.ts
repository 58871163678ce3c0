import { randomUUID } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import { type Firmware, firmwareNamed, type MachineSpec, machine } from '../../src/machine/index.ts'
import { importedUserData, openScene, signedImage } from '../../src/scene/index.ts'
import { run } from '../../src/system/index.ts'
import { expect, test } from '../../src/testing/vitest.ts'
import { Cache } from '../../src/toolchain/index.ts'
import { verifiedMachine } from '../../src/verify/index.ts'
import { AlteredDisk } from '../support/altered-disk.ts'
import { differences, logsOf, predictorFor, unknowns } from '../support/measured.ts'
import { builtImage, CHECKOUT, hostAccelerator, STATES, tools } from '../support/scene.ts'

const BANKS = { sha256: ['sha256'], 'all four banks': ['sha1', 'sha256', 'sha384', 'sha512'] } as const
const IMA = expect.stringMatching(/^PCR 10 unknown: boot aggregate of IMA/)
const SECRET = expect.stringMatching(
  /^PCR 9 unknown: initrd: cannot be known before the boot: it contains the boot secret/,
)

/** Everything that can be, or as little as can be; two boots each take a minute or more. */
const cases = (['minimal', 'cloud'] as const).flatMap((image) =>
  (['plain', 'secure-boot', 'microsoft-keys', 'setup-mode'] as const).flatMap((firmware) =>
    (['sha256', 'all four banks'] as const).flatMap((banks) =>
      [false, true].map((hasExtras) => {
        const counter = image === 'cloud' ? ' and a boot counter' : ''
        const extras = hasExtras ? `with credentials, an addon${counter}` : 'nothing besides'
        const title = `${image}, firmware ${firmware}, ${banks}, ${extras}`
        return [title, { image, firmware, banks, hasExtras }] as const
      }),
    ),
  ),
)

describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('every event is as predicted, in two boots', () => {
  test.for(cases)('%s', { timeout: 1_200_000 }, async ([, { image, firmware: name, banks, hasExtras }]) => {
    const [toolchain, cache] = [await tools(), new Cache()]
    const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), name, toolchain, cache)
    const built = await signedImage(await builtImage(image), firmware, { toolchain, cache })
    await using disk = await AlteredDisk.copyOf(built)
    if (hasExtras) await addExtras(disk, firmware)
    const { spec, instance } = verifiedMachine({
      image: { ...built, diskPath: disk.path },
      firmware,
      cloud: image === 'cloud' ? 'aws' : undefined,
      accelerator: firmware.needsSmm ? 'tcg' : await hostAccelerator(),
      spec: {
        tpm: { banks: BANKS[banks] },
        ...(hasExtras ? { credentials: { 'some.credential': 'with a value' }, kernelCommandLineExtra: ['quiet'] } : {}),
      },
    })
    const more = await importedUserData(built, instance?.instance.userData)
    const predict = await predictorFor(spec)
    const expected = await predict(spec, more)

    const { macAddress } = spec
    await using scene = await openScene({ toolchain, directory: disk.directory, cloud: instance, macAddress })
    const context = { toolchain, network: scene.network, stateParent: STATES, name: `table-${randomUUID()}` }
    await using first = await machine(spec, context).start()
    await first.booted()
    const logs = await logsOf(first)
    expect(differences(expected, logs)).toEqual([])
    expect(unknowns(expected, logs)).toEqual([SECRET, IMA])

    // What the second boot begins with: variables and disk as the first one has left them.
    await using stopped = await first.powerOff()
    const second = await leftBy(stopped.directory, disk, spec)
    await using again = await stopped.restart()
    const { variablesPath } = second
    const expectedAgain = await predict(second.spec, { ...more, variablesPath })
    await again.booted()
    const logsAgain = await logsOf(again)
    expect(differences(expectedAgain, logsAgain)).toEqual([])
    expect(unknowns(expectedAgain, logsAgain)).toEqual([IMA])
  })
})

/**
 * An addon for every kernel, signed where the firmware would ask who has; a credential for every system; and a UKI that may
 * be tried three times, where it is chosen.
 */
async function addExtras(disk: AlteredDisk, { ownKeys }: Firmware): Promise<void> {
  const addon = join(disk.directory, 'table.addon.efi')
  const signer = ownKeys?.keys.keys.db
  const signing =
    signer === undefined
      ? []
      : [
          '--signtool=systemd-sbsign',
          `--secureboot-private-key=${signer.privateKeyPath}`,
          `--secureboot-certificate=${signer.certificatePath}`,
        ]
  await run((await tools()).command(['ukify', 'build', '--cmdline=table=1', ...signing, `--output=${addon}`]))
  await disk.writeOnEsp('loader/addons/table.addon.efi', await readFile(addon))
  await disk.writeOnEsp('loader/credentials/table.cred', Buffer.from('not even encrypted'))
  const uki = (await disk.filesOnEsp()).find((path) => path.startsWith('EFI/Linux/'))
  if (uki === undefined) return
  await disk.renameOnEsp(uki, uki.replace(/\.efi$/, '+3.efi'))
}

async function leftBy(directory: string, disk: AlteredDisk, spec: MachineSpec) {
  const variablesPath = join(disk.directory, 'variables.fd')
  await copyFile(join(directory, 'variables.fd'), variablesPath)
  const diskPath = join(disk.directory, 'second.raw')
  const command = ['qemu-img', 'convert', '-O', 'raw', join(directory, 'disk.qcow2'), diskPath]
  await run((await tools()).command(command))
  return { variablesPath, spec: { ...spec, image: { ...spec.image, diskPath } } }
}
