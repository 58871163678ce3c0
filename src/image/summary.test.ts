import { describe, expect, it } from 'vitest'
import { parseSummary } from './summary.ts'

const initrd = {
  Image: 'initrd',
  Output: 'initrd',
  Release: 'forky',
  Format: 'cpio',
  SplitArtifacts: [],
  PassEnvironment: ['B'],
}
const main = {
  Image: 'main',
  Output: 'cloud_2',
  Release: 'trixie',
  Format: 'disk',
  ImageVersion: '2',
  SplitArtifacts: ['uki', 'kernel'],
  PassEnvironment: ['A'],
  ExtraTrees: [{ Source: '/a/mkosi.extra', Target: null }],
  FinalizeScripts: ['/a/mkosi.finalize'],
  Initrds: ['initrd-without-a-path'],
  Splash: null,
}
const text = (...images: unknown[]): string => JSON.stringify({ Images: images })

describe('parseSummary()', () => {
  it('reads the main image, and the sources and variables of all', () => {
    const also = { ...initrd, PrepareScripts: ['/a/mkosi.finalize'] }
    expect(parseSummary(text(also, main))).toEqual({
      output: 'cloud_2',
      release: 'trixie',
      format: 'disk',
      imageVersion: '2',
      canHaveUki: true,
      splitArtifacts: ['uki', 'kernel'],
      sources: [
        { path: '/a/mkosi.finalize', reach: 'all' },
        { path: '/a/mkosi.extra', reach: 'late' },
      ],
      passEnvironment: ['A', 'B'],
    })
  })

  it('takes no version for no version', () => {
    expect(parseSummary(text({ ...main, ImageVersion: null })).imageVersion).toBeUndefined()
  })

  it.for<[object, boolean]>([
    [{ Bootable: 'enabled', UnifiedKernelImages: 'unsigned' }, true],
    [{ Bootable: 'auto', UnifiedKernelImages: 'auto' }, true],
    [{ Bootable: 'disabled', UnifiedKernelImages: 'auto' }, false],
    [{ Bootable: 'enabled', UnifiedKernelImages: 'none' }, false],
    [{ Bootable: 'disabled', PostOutputScripts: ['/a/mkosi.postoutput'] }, true],
  ])('knows of %j whether there can be a UKI: %s', ([settings, canHaveUki]) => {
    expect(parseSummary(text({ ...main, ...settings })).canHaveUki).toBe(canHaveUki)
  })

  it.for<[string, string]>([
    ['not JSON at all', 'Expected JSON from `mkosi --json summary`'],
    ['[]', 'Expected a list as Images'],
    [text(), 'Expected at least one image as Images'],
    [text('x'), 'Expected objects as Images[] of mkosi\'s summary, found "x"'],
    [text({ ...main, Format: 7 }), "Expected a string as Format of mkosi's summary, found 7"],
    [text({ ...main, SplitArtifacts: 'uki' }), 'Expected a list of strings as SplitArtifacts'],
    [text({ ...main, ExtraTrees: [7] }), 'Expected paths as ExtraTrees'],
  ])('says what it misses in %s', ([summary, message]) => {
    expect(() => parseSummary(summary)).toThrow(
      expect.objectContaining({ code: 'TOOL_FAILED', message: expect.stringContaining(message) }),
    )
  })
})
