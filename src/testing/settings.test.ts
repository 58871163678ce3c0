import { describe, expect, it } from 'vitest'
import { PACKAGE } from './project.ts'
import { parseJobs, readSettings } from './settings.ts'

describe('readSettings()', () => {
  it('takes everything from the environment', () => {
    const settings = readSettings({
      BOOTWRIGHT_PROJECT: PACKAGE,
      BOOTWRIGHT_RUN: 'r',
      BOOTWRIGHT_IMAGE: 'minimal',
      BOOTWRIGHT_JOBS: '3',
      BOOTWRIGHT_KEEP: '1',
    })
    expect(settings).toMatchObject({ runId: 'r', image: 'minimal', cloud: undefined, jobs: 3, keep: true, sit: false })
    expect(settings.project.directory).toBe(PACKAGE)
  })

  it('has a run of its own without', () => {
    expect(readSettings({ BOOTWRIGHT_RUN: '' })).toMatchObject({
      runId: expect.stringMatching(/^\d{8}T\d{6}Z-/),
      jobs: undefined,
      keep: false,
      debug: false,
    })
  })
})

describe('parseJobs()', () => {
  it('takes auto, and numbers of at least one', () => {
    expect(['auto', '1', '12'].map(parseJobs)).toEqual([undefined, 1, 12])
  })

  it.for(['0', '-1', '1.5', '', 'many', '1e3'])('refuses %j', (text) => {
    expect(() => parseJobs(text)).toThrow(`Expected auto or a number of at least 1 for --jobs, found "${text}"`)
  })
})
