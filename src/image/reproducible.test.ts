import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { SmallCheckout, tools } from './definition.test-support.ts'
import type { ImageOptions } from './plan.ts'
import { checkReproducible } from './reproducible.ts'

describe.skipIf(tools === undefined)('checkReproducible() (needs `bootwright setup`)', { timeout: 120_000 }, () => {
  const optionsOf = (checkout: SmallCheckout): ImageOptions => {
    if (tools === undefined) throw new Error('skipped')
    return checkout.options(tools)
  }

  it('gives the digests of two equal builds, and keeps nothing of them', async () => {
    await using checkout = await SmallCheckout.make()
    const { name, version, artifacts } = await checkReproducible('small', optionsOf(checkout))
    expect({ name, version }).toEqual({ name: 'small', version: '1' })
    expect(artifacts.map(({ role }) => role)).toEqual(['uki', 'disk'])
    expect(await readdir(checkout.directory)).not.toContain('out')
    expect(await readdir(checkout.cache.path('images'))).toEqual([])
  })

  it('names the file on the disk and the section of the UKI that differ, the UKI first', async () => {
    await using checkout = await SmallCheckout.make()
    await checkout.script('images/small/mkosi.finalize', 'cat /proc/sys/kernel/random/uuid >"$BUILDROOT/etc/chance"')
    await checkout.script(
      'images/small/mkosi.postoutput',
      'cp "$SRCDIR/uki.efi" "$OUTPUTDIR/small_1.efi"\n' +
        'cut -c1-8 /proc/sys/kernel/random/uuid | dd of="$OUTPUTDIR/small_1.efi" bs=1 seek=512 conv=notrunc status=none',
    )
    const failure = await checkReproducible('small', optionsOf(checkout)).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'NOT_REPRODUCIBLE',
      message: expect.stringMatching(
        /^Two builds of image small differ: small_1\.efi from byte 51\d \(section \.linux, byte \d of it\); small_1\.raw from byte \d+ \(partition 1 \(root\), byte \d+ of it: .*\)$/,
      ),
      detail: { file: 'small_1.efi' },
    })
    expect(await readdir(checkout.directory)).not.toContain('out')
    expect(await readdir(checkout.cache.path('images'))).toEqual([])
  })
})
