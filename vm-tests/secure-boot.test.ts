import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'vitest'
import { firmwareNamed } from '../src/machine/index.ts'
import { predictMachine, type Revoked, signedImage } from '../src/scene/index.ts'
import { expect, type TestMachine, test } from '../src/testing/vitest.ts'
import { Cache } from '../src/toolchain/index.ts'
import { AlteredDisk } from './support/altered-disk.ts'
import { builtImage, CHECKOUT, failures, tools, verified } from './support/scene.ts'

const all = test.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')
const powerOn = { from: 'cold', until: 'power-on' } as const

describe('firmware with own keys', () => {
  test('starts what they have signed, which measures as predicted', async ({ boot }) => {
    await using machine = await boot('minimal', { firmware: 'secure-boot', from: 'cold' })
    expect(await isSecureBootOn(machine)).toBe(true)
    await expect(machine).toMeasureAsPredicted()
  })

  all('goes on without an addon that nobody has signed, as predicted', async () => {
    const [toolchain, cache] = [await tools(), new Cache()]
    const firmware = await firmwareNamed(join(CHECKOUT, 'ovmf'), 'secure-boot', toolchain, cache)
    const image = await signedImage(await builtImage('minimal'), firmware, { toolchain, cache })
    await using disk = await AlteredDisk.copyOf(image)
    const addon = join(toolchain.root, 'usr/lib/systemd/boot/efi/addonx64.efi.stub')
    await disk.writeOnEsp('loader/addons/unsigned.addon.efi', await readFile(addon))
    const report = await verified({ ...image, diskPath: disk.path }, { firmware, accelerator: 'tcg' })
    expect(failures(report)).toEqual([])
  })

  all('refuses what nobody has signed', async ({ boot }) => {
    await using machine = await boot('cloud', { firmware: 'secure-boot', sign: false, ...powerOn })
    await refusedAsPredicted(machine, { by: 'firmware', why: 'it is not signed' })
  })

  const REVOCATIONS: readonly (readonly [Revoked, 'firmware' | 'boot-loader', string])[] = [
    ['boot-loader', 'firmware', 'dbx has its digest'],
    ['uki', 'boot-loader', 'dbx has its digest'],
    ['signer', 'firmware', 'dbx has a certificate of its signer'],
  ]
  for (const [revoked, by, why] of REVOCATIONS) {
    all(`refuses an image whose ${revoked} is revoked`, async ({ boot }) => {
      await using machine = await boot('cloud', { firmware: 'secure-boot', revoked: [revoked], ...powerOn })
      await refusedAsPredicted(machine, { by, why })
      await expect(machine).not.toRefuseBoot({ by: by === 'firmware' ? 'boot-loader' : 'firmware' })
    })
  }
})

describe("firmware with Microsoft's keys", () => {
  test('refuses a loader that nobody signed, in seconds', async ({ boot }) => {
    await using machine = await boot('minimal', { firmware: 'microsoft-keys', sign: false, ...powerOn })
    await refusedAsPredicted(machine, { by: 'firmware', why: 'it is not signed' })
  })

  all('starts what the own keys beside them have signed, which measures as predicted', async ({ boot }) => {
    await using machine = await boot('minimal', { firmware: 'microsoft-keys', from: 'cold' })
    expect(await isSecureBootOn(machine)).toBe(true)
    await expect(machine).toMeasureAsPredicted()
  })
})

describe('firmware in setup mode', () => {
  all('lets systemd-boot enrol the keys, and is predicted as it is after that', async ({ boot }) => {
    await using machine = await boot('cloud', { firmware: 'self-enrolling', from: 'cold' })
    expect(await isSecureBootOn(machine)).toBe(true)
    await expect(machine).toMeasureAsPredicted()
  })

  all('stays in it where no boot loader does', async ({ boot }) => {
    await using machine = await boot('minimal', { firmware: 'self-enrolling', from: 'cold' })
    expect(await isSecureBootOn(machine)).toBe(false)
    await expect(machine).toMeasureAsPredicted()
  })
})

/** The variable SecureBoot as Linux shows it: four bytes of attributes, then its value. */
async function isSecureBootOn(machine: TestMachine): Promise<boolean> {
  const bytes = await machine.readFile('/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c')
  return bytes[4] === 1
}

async function refusedAsPredicted(
  machine: TestMachine,
  { by, why }: { readonly by: 'firmware' | 'boot-loader'; readonly why: string },
): Promise<void> {
  const { refusal } = await predictMachine(machine.spec, { toolchain: await tools() })
  expect(refusal).toMatchObject({ by, because: 'secure-boot', why })
  await expect(machine).toRefuseBoot({ by, because: 'secure-boot' })
}
