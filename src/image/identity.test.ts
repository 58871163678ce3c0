import { chmod, rename, rm, symlink, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Toolchain } from '../toolchain/index.ts'
import { SmallCheckout } from './definition.test-support.ts'
import { findDefinition } from './definition.ts'
import { type BuildIdentity, buildIdentity, readConfiguration } from './identity.ts'
import type { Summary } from './summary.ts'

const toolchain: Toolchain = {
  kind: 'managed',
  identity: 'tools-1',
  root: '/',
  command: (argv) => ({ argv }),
  inside: (argv) => ({ argv }),
  mkosi: (args) => ({ argv: ['mkosi', ...args] }),
  sandboxTree: undefined,
  versions: { mkosi: '27.1' },
}

const summary: Summary = {
  output: 'small',
  release: 'forky',
  format: 'disk',
  imageVersion: undefined,
  canHaveUki: true,
  splitArtifacts: ['uki'],
  sources: [],
  passEnvironment: [],
}

interface Given {
  toolchain?: Partial<Toolchain>
  summary?: Partial<Summary>
  version?: string
  snapshot?: string
  env?: Record<string, string>
}

let checkout: SmallCheckout

beforeEach(async () => {
  checkout = await SmallCheckout.make()
})

afterEach(async () => {
  await checkout[Symbol.asyncDispose]()
})

async function identify(given: Given = {}): Promise<BuildIdentity> {
  const definition = await findDefinition('small', checkout.imagesDirectory)
  return buildIdentity(
    definition,
    readConfiguration(definition),
    { ...summary, ...given.summary },
    { ...toolchain, ...given.toolchain },
    { version: given.version ?? '1', snapshot: given.snapshot, env: given.env ?? {} },
  )
}

const small = (path: string): string => join(checkout.imagesDirectory, 'small', path)

/** Changes that may change the image, each by what it does. */
const changes: Record<string, () => Promise<unknown>> = {
  'a line in the image configuration': () => checkout.write('images/small/mkosi.conf', '[Output]\nImageId=other\n'),
  'a line in the shared configuration': () => checkout.write('mkosi.conf.d/10-shared.conf', '[Content]\n'),
  'a new shared drop-in': () => checkout.write('mkosi.conf.d/20-more.conf', ''),
  'a top-level mkosi.conf': () => checkout.write('mkosi.conf', ''),
  'a local configuration': () => checkout.write('images/small/mkosi.local.conf', ''),
  'a skeleton file': () => checkout.write('images/small/mkosi.skeleton/etc/early', 'changed\n'),
  'the name of a skeleton file': () => rename(small('mkosi.skeleton/etc/early'), small('mkosi.skeleton/etc/late')),
  'the mode of a skeleton file': () => chmod(small('mkosi.skeleton/etc/early'), 0o600),
  'a new empty skeleton directory': () => checkout.write('images/small/mkosi.skeleton/var/x', ''),
  'a script that is executable no longer': () => chmod(small('mkosi.conf'), 0o755),
  'a removed file': () => rm(small('mkosi.skeleton/etc/early')),
  'a link in place of a file': async () => {
    await unlink(small('mkosi.skeleton/etc/early'))
    await symlink('late', small('mkosi.skeleton/etc/early'))
  },
}

/** Changes that leave the packages which mkosi has installed as they are. */
const lateChanges: Record<string, () => Promise<unknown>> = {
  'an extra file': () => checkout.write('images/small/mkosi.extra/etc/late', 'changed\n'),
  'a new extra file that looks like a backup': () => checkout.write('images/small/mkosi.extra/etc/late~', ''),
  'the mode of an extra file': () => chmod(small('mkosi.extra/etc/late'), 0o640),
  'the target of an extra link': () => symlink('nowhere', small('mkosi.extra/etc/link')),
  'a partition': () => checkout.write('images/small/mkosi.repart/10-root.conf', '[Partition]\nType=root\n'),
  'a build script': () => checkout.script('images/small/mkosi.build.chroot', 'true'),
  'a finalize script': () => checkout.script('images/small/mkosi.finalize', 'true'),
}

describe('buildIdentity()', () => {
  it.for(Object.keys(changes))('changes with %s, and so does the base', async (what) => {
    const before = await identify()
    await changes[what]?.()
    const after = await identify()
    expect(after.identity).not.toBe(before.identity)
    expect(after.baseIdentity).not.toBe(before.baseIdentity)
  })

  it.for(Object.keys(lateChanges))('changes with %s, but the base does not', async (what) => {
    const before = await identify()
    await lateChanges[what]?.()
    const after = await identify()
    expect(after.identity).not.toBe(before.identity)
    expect(after.baseIdentity).toBe(before.baseIdentity)
  })

  it.for<[string, Given]>([
    ['the tools', { toolchain: { identity: 'tools-2' } }],
    ['the version of mkosi', { toolchain: { versions: { mkosi: '28' } } }],
    ['the snapshot', { snapshot: '20260101T000000Z' }],
    ['SOURCE_DATE_EPOCH', { env: { SOURCE_DATE_EPOCH: '1' } }],
  ])('changes with %s', async ([, given]) => {
    const [before, after] = [await identify(), await identify(given)]
    expect(after.identity).not.toBe(before.identity)
    expect(after.baseIdentity).not.toBe(before.baseIdentity)
  })

  it('changes with the version, but the base does not', async () => {
    const [before, after] = [await identify(), await identify({ version: '2' })]
    expect(after.identity).not.toBe(before.identity)
    expect(after.baseIdentity).toBe(before.baseIdentity)
  })

  it('changes with a variable that is passed on, and with no other', async () => {
    const passEnvironment = ['PASSED']
    const before = await identify({ summary: { passEnvironment } })
    const after = await identify({ summary: { passEnvironment }, env: { PASSED: 'x' } })
    const unrelated = await identify({ summary: { passEnvironment }, env: { OTHER: 'x' } })
    expect(after.identity).not.toBe(before.identity)
    expect(unrelated).toEqual(before)
  })

  it('does not change with times, backups of an editor, outputs of mkosi and other files of the checkout', async () => {
    const before = await identify()
    await utimes(small('mkosi.conf'), 1, 1)
    await utimes(small('mkosi.extra/etc/late'), 1, 1)
    await checkout.write('images/small/mkosi.conf~', '')
    await checkout.write('images/small/.mkosi.conf.swp', '')
    await checkout.write('mkosi.conf.d/#10-shared.conf#', '')
    await checkout.write('images/small/mkosi.output/small.raw', '')
    await checkout.write('images/small/.mkosi-private/history/x.json', '')
    await checkout.write('images/other/mkosi.conf', '')
    await checkout.write('README.md', '')
    expect(await identify()).toEqual(before)
  })

  it('is the same in every checkout', async () => {
    const here = await identify()
    await using elsewhere = await SmallCheckout.make()
    const definition = await findDefinition('small', elsewhere.imagesDirectory)
    const options = { version: '1', snapshot: undefined, env: {} }
    expect(buildIdentity(definition, readConfiguration(definition), summary, toolchain, options)).toEqual(here)
  })

  it('covers what is included from elsewhere, and what that includes', async () => {
    await checkout.write('images/large/mkosi.conf', '[Content]\nHostname=one\n')
    await checkout.write('images/large/mkosi.extra/etc/late', 'one\n')
    await checkout.write('images/large/mkosi.conf.d/10-more.conf', '[Include]\nInclude=../more # no comment\n')
    await checkout.write('images/more/mkosi.conf', '[Include]\nInclude=../large\n\n[Content]\nLocale=C\n')
    const include = '[Include]\nInclude=../..\n  # A remark.\n  ../large,mkosi-initrd\n'
    await checkout.write('images/small/mkosi.conf', include)
    const before = await identify()
    expect(before.inputs.map(({ name }) => name)).toEqual(expect.arrayContaining(['images/large', 'images/more']))
    await checkout.write('images/large/mkosi.extra/etc/late', 'two\n')
    const late = await identify()
    expect(late.identity).not.toBe(before.identity)
    expect(late.baseIdentity).toBe(before.baseIdentity)
    await checkout.write('images/more/mkosi.conf', '[Content]\nLocale=C.UTF-8\n')
    const early = await identify()
    expect(early.baseIdentity).not.toBe(late.baseIdentity)
  })

  it('covers trees that the definition takes from elsewhere', async () => {
    const path = join(checkout.directory, 'guest-tools')
    await checkout.write('guest-tools/tool', 'one')
    const sources: Summary['sources'] = [{ path, reach: 'late' }]
    const before = await identify({ summary: { sources } })
    expect(before.inputs.map(({ name }) => name)).toContain('guest-tools')
    await checkout.write('guest-tools/tool', 'two')
    const after = await identify({ summary: { sources } })
    expect(after.identity).not.toBe(before.identity)
    expect(after.baseIdentity).toBe(before.baseIdentity)
  })

  it('names an input that is not there', async () => {
    const path = join(checkout.directory, 'missing')
    await expect(identify({ summary: { sources: [{ path, reach: 'late' }] } })).rejects.toMatchObject({
      code: 'BUILD_FAILED',
      message: `The image definition small uses ${path}, which is not there`,
    })
  })

  it('does not depend on the package sources of this host', async () => {
    const path = join(checkout.directory, 'cache/sources/x')
    await checkout.write('cache/sources/x/mirror', 'this one')
    const given: Given = { toolchain: { sandboxTree: path }, summary: { sources: [{ path, reach: 'all' }] } }
    expect(await identify(given)).toEqual(await identify())
  })
})
