import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { runUnchecked } from '../system/index.ts'
import { type BuildOptions, build, lockOutput } from './build.ts'
import { openImage } from './built-image.ts'
import { SmallCheckout, smallUki, tools } from './definition.test-support.ts'

/** Everything below a directory, as one finds it there. */
async function filesBelow(directory: string): Promise<string[]> {
  return (await readdir(directory, { recursive: true }).catch(() => [])).sort()
}

/** Nothing of the image is in `out/`, and nothing that mkosi has worked on is in the cache. */
async function expectNothingLeft(checkout: SmallCheckout): Promise<void> {
  expect(await filesBelow(checkout.outDirectory)).toEqual([])
  const cached = await filesBelow(checkout.cache.path('images'))
  expect(cached.filter((path) => /(^|\/)work(\/|$)/.test(path))).toEqual([])
  const checkoutFiles = await filesBelow(checkout.imagesDirectory)
  expect(checkoutFiles.filter((path) => /mkosi\.(output|cache|builddir|workspace)|mkosi-private/.test(path))).toEqual(
    [],
  )
}

async function processesNaming(path: string): Promise<string[]> {
  const { stdout } = await runUnchecked({ argv: ['ps', '-e', '-o', 'args='] })
  return stdout.split('\n').filter((line) => line.includes(path))
}

describe.skipIf(tools === undefined)('build() (needs `bootwright setup`)', { timeout: 120_000 }, () => {
  const optionsOf = (checkout: SmallCheckout, more: Partial<BuildOptions> = {}): BuildOptions => {
    if (tools === undefined) throw new Error('skipped')
    return { ...checkout.options(tools), ...more }
  }

  it('makes disk, UKI and a record, and does nothing when nothing changed', async () => {
    await using checkout = await SmallCheckout.make()
    const image = await build('small', optionsOf(checkout))
    expect(image).toMatchObject({ name: 'small', version: '1', kernelVersion: '7.0.0-small', isFresh: true })
    expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['1'])
    expect(await readdir(image.directory)).toEqual(['build.json', 'small_1.efi', 'small_1.raw'])
    expect((await readFile(image.ukiPath)).equals(smallUki())).toBe(true)
    const { blocks, size } = await stat(image.diskPath)
    expect(blocks * 512).toBeLessThan(size)
    const record = await readFile(join(image.directory, 'build.json'), 'utf8')
    expect(record).not.toContain(checkout.directory)

    const progress: string[] = []
    const again = await build('small', optionsOf(checkout, { onProgress: (step) => progress.push(step) }))
    expect(again).toEqual({ ...image, isFresh: false })
    expect(progress).toEqual([])
    expect(await openImage('small', checkout)).toEqual({ ...image, isFresh: undefined })

    // A damaged image is no image.
    await truncate(image.diskPath, size - 512)
    await expect(openImage('small', checkout)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
    await checkout.write('images/small/mkosi.extra/etc/late', 'later\n')
    const lines: string[] = []
    const changed = await build('small', optionsOf(checkout, { onProgress: (_, line) => lines.push(line) }))
    expect(changed.isFresh).toBe(true)
    expect(changed.identity).not.toBe(image.identity)
    expect(lines.join('\n')).toContain('Copying cached trees')
    expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['1'])
  })

  it('makes it once when two ask at once', async () => {
    await using checkout = await SmallCheckout.make()
    // What a killed process left.
    await checkout.write('out/small/.1.0123abcd.new/small_1.raw', 'half')
    const waits: string[] = []
    const onProgress = (step: string): void => {
      if (step === 'waiting') waits.push(step)
    }
    const both = await Promise.all([
      build('small', optionsOf(checkout, { onProgress })),
      build('small', optionsOf(checkout, { onProgress })),
    ])
    expect(both.map(({ isFresh }) => isFresh).sort()).toEqual([false, true])
    expect(waits).toEqual(['waiting'])
    expect(both[0].identity).toBe(both[1].identity)
    expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['1'])
  })

  it('ends mkosi and leaves nothing when it is aborted', async () => {
    await using checkout = await SmallCheckout.make()
    await checkout.script('images/small/mkosi.finalize', 'sleep 600')
    const abort = new AbortController()
    const building = build(
      'small',
      optionsOf(checkout, {
        signal: abort.signal,
        onProgress: (_, line) => {
          if (line.includes('Running finalize script')) abort.abort(new Error('enough'))
        },
      }),
    )
    await expect(building).rejects.toThrow('enough')
    expect(await processesNaming(checkout.directory)).toEqual([])
    await expectNothingLeft(checkout)
  })

  it('ends a script of mkosi with it, whatever that has started, and leaves no temporary file', async () => {
    await using checkout = await SmallCheckout.make()
    const temporary = join(checkout.directory, 'tmp')
    await mkdir(temporary)
    vi.stubEnv('TMPDIR', temporary)
    onTestFinished(() => void vi.unstubAllEnvs())
    // It makes mkosi wait until both have to be killed: then nobody of them tidies up.
    await checkout.script('images/small/mkosi.finalize', 'trap "" TERM INT; echo "sleeping in $SRCDIR"; sleep 600')
    const abort = new AbortController()
    const onProgress = (_: string, line: string): void => {
      if (line.startsWith('sleeping')) abort.abort(new Error('enough'))
    }
    await expect(build('small', optionsOf(checkout, { signal: abort.signal, onProgress }))).rejects.toThrow('enough')
    expect(await processesNaming(checkout.directory)).toEqual([])
    await expectNothingLeft(checkout)
    expect(await readdir(temporary)).toEqual([])
  })

  it('clears away what a killed build left, also when there is nothing to build', async () => {
    await using checkout = await SmallCheckout.make()
    await build('small', optionsOf(checkout))
    await checkout.write('out/small/.1.0123abcd.new/small_1.raw', 'half')
    const [name = ''] = await readdir(checkout.cache.path('images'))
    await checkout.write(join('cache/images', name, 'work', 'half'), 'half')
    {
      // In use: the one who holds the locks may be making just that.
      await using _output = await lockOutput('small', optionsOf(checkout))
      await build('small', optionsOf(checkout))
      expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['.1.0123abcd.new', '1'])
    }
    expect((await build('small', optionsOf(checkout))).isFresh).toBe(false)
    expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['1'])
    expect(await readdir(checkout.cache.path('images', name))).not.toContain('work')
  })

  it('keeps the previous image when the next one fails, and tells step, reason and command', async () => {
    await using checkout = await SmallCheckout.make()
    const image = await build('small', optionsOf(checkout))
    await checkout.script('images/small/mkosi.finalize', 'echo the reason >&2; exit 7')
    const failure = await build('small', optionsOf(checkout)).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'BUILD_FAILED',
      detail: { step: expect.stringContaining('finalize script') },
    })
    expect((failure as Error).message).toContain('exit code 7')
    expect((failure as Error).message).toContain('the reason')
    const hint = String((failure as { hint?: string }).hint)
    expect(hint).toMatch(/^To repeat it: .*mkosi.* --directory=.*small .*build$/)
    expect(hint).not.toContain(checkout.outDirectory)
    expect(await openImage('small', checkout)).toEqual({ ...image, isFresh: undefined })
    expect(await readdir(join(checkout.outDirectory, 'small'))).toEqual(['1'])
  })

  it('leaves nothing when the UKI is none', async () => {
    await using checkout = await SmallCheckout.make()
    await checkout.write('images/small/uki.efi', smallUki('.text'))
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: expect.stringContaining('no .linux section'),
    })
    await expectNothingLeft(checkout)
  })

  it('names what the definition lacks before it builds anything', async () => {
    await using checkout = await SmallCheckout.make()
    const configuration = '[Include]\nInclude=../..\n[Output]\nImageId=small\n'
    await checkout.write('images/small/mkosi.conf', `${configuration}Format=directory\n`)
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: 'Image small should be a disk, but its definition says Format=directory',
    })
    await checkout.write('images/small/mkosi.conf', `${configuration}SplitArtifacts=\nSplitArtifacts=kernel\n`)
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: 'Image small has no unified kernel image of its own: SplitArtifacts= lacks uki',
    })
    await checkout.write('images/small/mkosi.conf', configuration)
    await rm(join(checkout.imagesDirectory, 'small/mkosi.postoutput'))
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'IMAGE_INCOMPLETE',
      message: 'Image small makes no unified kernel image: Bootable=no or UnifiedKernelImages=none',
    })
    await checkout.write('images/small/mkosi.conf', `${configuration}[Contents]\nPackages=a\n`)
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: expect.stringMatching(
        /^The definition of image small is broken: mkosi knows no section \[Contents\] in .*:5$/,
      ),
    })
    await expectNothingLeft(checkout)
  })

  it.for<[string, RegExp]>([
    ['Format=chocolate', /^The definition of image small is broken: .*chocolate/],
    ['Formatt=disk', /^The definition of image small is broken: .*mkosi\.conf: Unknown setting Formatt$/],
    ['no setting at all', /^The definition of image small is broken: .*/],
  ])('gives one clear message for a configuration with "%s"', async ([line, message]) => {
    await using checkout = await SmallCheckout.make()
    await checkout.write('images/small/mkosi.conf', `[Output]\n${line}\n`)
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: expect.stringMatching(message),
      hint: expect.stringContaining('summary'),
    })
    await expectNothingLeft(checkout)
  })

  it('does not blame the definition when the disk is full', async () => {
    await using checkout = await SmallCheckout.make()
    const full = 'echo "cp: error writing disk: No space left on device" >&2; exit 1'
    await checkout.script('images/small/mkosi.finalize', full)
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringContaining('cp: error writing disk'),
    })
    await expectNothingLeft(checkout)
  })

  it('names the packages that do not exist, and not the whole command of apt', async () => {
    await using checkout = await SmallCheckout.make()
    await checkout.script('images/small/mkosi.finalize', 'echo "E: Unable to locate package nosuch" >&2; exit 100')
    await expect(build('small', optionsOf(checkout))).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: 'Image small asks for packages that the archive does not have: nosuch',
    })
    await expectNothingLeft(checkout)
  })

  it('asks for disk space before it begins', async () => {
    await using checkout = await SmallCheckout.make()
    const statFs = async () => ({ bavail: 100, bsize: 1024 * 1024 })
    await expect(build('small', optionsOf(checkout, { statFs }))).rejects.toMatchObject({ code: 'NO_SPACE' })
    await expectNothingLeft(checkout)
  })

  it('lists the images there are when it is asked for another, and refuses what is no version', async () => {
    await using checkout = await SmallCheckout.make()
    await checkout.write('images/large/mkosi.conf', '')
    await checkout.write('images/README.md', '')
    await expect(build('nothere', optionsOf(checkout))).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: 'There is no image "nothere"; there are: large, small',
    })
    await expect(build('../images/small', optionsOf(checkout))).rejects.toMatchObject({ code: 'UNKNOWN_NAME' })
    await expect(build('small', optionsOf(checkout, { version: '../1' }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    expect(existsSync(checkout.outDirectory)).toBe(false)
  })
})

describe('openImage()', () => {
  it('lists what is built', async () => {
    await using checkout = await SmallCheckout.make()
    await expect(openImage('small', checkout)).rejects.toMatchObject({
      code: 'UNKNOWN_NAME',
      message: 'There is no built image "small"; there are none',
    })
    await checkout.write('out/small/1/build.json', '{')
    await expect(openImage('other', checkout)).rejects.toMatchObject({
      message: 'There is no built image "other"; there are: small',
    })
    await expect(openImage('small', { ...checkout, version: '2' })).rejects.toMatchObject({
      message: 'There is no version of image small "2"; there are: 1',
    })
    await expect(openImage('small', checkout)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
  })

  const whole = { schema: 1, image: 'small', version: '1', identity: 'i', baseIdentity: 'b', artifacts: [] }
  const artifact = { role: 'disk', file: 'small_1.raw', size: 1, sha256: '0' }
  it.for([
    null,
    'text',
    whole,
    { ...whole, schema: 2 },
    { ...whole, artifacts: {} },
    { ...whole, artifacts: [null] },
    { ...whole, artifacts: [{ ...artifact, size: '1' }] },
    { ...whole, artifacts: [{ ...artifact, file: '../small_1.raw' }] },
    { ...whole, identity: undefined },
  ])('calls damaged what has the record %j', async (record) => {
    await using checkout = await SmallCheckout.make()
    await checkout.write('out/small/1/build.json', JSON.stringify(record))
    await expect(openImage('small', checkout)).rejects.toMatchObject({ code: 'IMAGE_INCOMPLETE' })
  })
})
