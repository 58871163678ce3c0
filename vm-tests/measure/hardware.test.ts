import { randomUUID } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import { parsePe, parseSmbiosTable, smbiosIdentity } from '../../src/formats/index.ts'
import { DEFAULT_SPEC, type MachineSpec, machine } from '../../src/machine/index.ts'
import { devicetree } from '../../src/measure/devicetree.test-support.ts'
import { hardwareIds, ukiSection } from '../../src/measure/index.ts'
import { openScene } from '../../src/scene/index.ts'
import { run } from '../../src/system/index.ts'
import { expect, test } from '../../src/testing/vitest.ts'
import { AlteredDisk } from '../support/altered-disk.ts'
import { differences, logsOf, predictorFor } from '../support/measured.ts'
import { builtImage, hostAccelerator, plainFirmware, STATES, tools } from '../support/scene.ts'

const UKI = 'EFI/BOOT/BOOTX64.EFI'
/** No machine's. */
const OTHER = '01234567-89ab-5def-8123-456789abcdef'

describe('what a unified kernel image has for several machines', () => {
  test('is measured as predicted where it is for this one', async () => {
    const [image, toolchain] = [await builtImage('minimal'), await tools()]
    const smbios = {
      system: { manufacturer: 'Bootwright', productName: 'Test board', family: ' 007 ', skuNumber: 'SKU' },
      baseboard: { manufacturer: 'Somebody', product: '0board' },
    }
    const ids = hardwareIds(smbiosOfMachine(smbios))
    await using disk = await AlteredDisk.copyOf(image)
    const made = await makeSections(disk.directory, ids.get(3) ?? '')

    // In the image, in an addon for this machine, and in one for another: two devicetrees are measured, and no third.
    const uki = await readFile(image.ukiPath)
    const commandLine = Buffer.from(ukiSection(parsePe(uki), uki, '.cmdline') ?? [])
    const { directory } = image
    const file = join(disk.directory, 'uki.efi')
    const part = (name: string) => join(directory, `${image.name}_${image.version}.${name}`)
    await run(
      toolchain.command([
        ...['ukify', 'build', `--linux=${part('vmlinuz')}`, `--initrd=${part('initrd')}`],
        ...[`--os-release=@${part('osrelease')}`, `--cmdline=${commandLine.toString().replaceAll('\0', '')}`],
        ...[`--hwids=${made.mine}`, `--devicetree-auto=${made.tree}`, `--output=${file}`],
      ]),
    )
    await disk.writeOnEsp(UKI, await readFile(file))
    for (const [name, hwids] of [['mine', made.mine] as const, ['other', made.other] as const]) {
      const addon = join(disk.directory, `${name}.addon.efi`)
      const options = [`--hwids=${hwids}`, `--devicetree-auto=${made.tree}`, `--output=${addon}`]
      await run(toolchain.command(['ukify', 'build', ...options]))
      await disk.writeOnEsp(`loader/addons/${name}.addon.efi`, await readFile(addon))
    }

    const spec: MachineSpec = {
      ...DEFAULT_SPEC,
      image: { ...image, diskPath: disk.path },
      firmware: await plainFirmware(),
      accelerator: await hostAccelerator(),
      uuid: 'b0070000-1111-4222-8333-444444444445',
      smbios,
    }
    const predicted = await (await predictorFor(spec))(spec)
    const named = predicted.map(({ what }) => what).filter((what) => /dtbauto of|devicetree/.test(what))
    expect(named).toEqual([`section .dtbauto of ${UKI}`, 'devicetree of addon mine.addon.efi'])

    await using scene = await openScene({
      toolchain,
      directory: disk.directory,
      cloud: undefined,
      macAddress: spec.macAddress,
    })
    const context = { toolchain, network: scene.network, stateParent: STATES, name: `hardware-${randomUUID()}` }
    await using running = await machine(spec, context).start()
    await running.booted()
    expect(differences(predicted, await logsOf(running))).toEqual([])

    // What the system itself takes for its IDs; it leaves zeros and blanks where the stub has none, as in family and product.
    const table = await running.readFile('/sys/firmware/dmi/tables/DMI')
    expect(hardwareIds(smbiosIdentity(parseSmbiosTable(table)))).toEqual(ids)
    const { stdout } = await running.run(['systemd-analyze', 'chid', '--json=short'])
    const seen = new Map(JSON.parse(stdout).map((row: { type: number; chid: string }) => [row.type, row.chid]))
    expect([seen.get(7), seen.get(9)]).toEqual([ids.get(7), ids.get(9)])
  })
})

/** Where nothing is said, QEMU and its firmware say nothing of these fields either. */
function smbiosOfMachine(smbios: Pick<MachineSpec['smbios'], 'system' | 'baseboard'>) {
  return { system: smbios.system ?? {}, baseboard: smbios.baseboard ?? {} }
}

async function makeSections(directory: string, id: string) {
  const tree = join(directory, 'board.dtb')
  await writeFile(tree, devicetree([['compatible', 'bootwright,test\0']]))
  const hwids = async (name: string, known: string): Promise<string> => {
    const path = join(directory, name)
    await mkdir(path)
    const entry = { type: 'devicetree', name: 'Test board', compatible: 'bootwright,test', hwids: [known] }
    await writeFile(join(path, 'board.json'), JSON.stringify(entry))
    return path
  }
  return { tree, mine: await hwids('mine', id), other: await hwids('other', OTHER) }
}
