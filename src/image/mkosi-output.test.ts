import { describe, expect, it } from 'vitest'
import { readFailure } from './mkosi-output.ts'

describe('readFailure()', () => {
  it('finds the step, the program that failed and what that said', () => {
    const output = [
      '‣ [main]  Copying cached trees',
      '‣ [main]  Generating disk image',
      'Formatting future partition 1.',
      'No space left on device',
      '‣ [main] "systemd-repart --json=pretty" returned non-zero exit code 1.',
      '‣ [main] (sandbox command omitted, rerun with --debug to see the full sandbox command.)',
      '‣ [main]  (Unmounting)',
    ].join('\n')
    expect(readFailure(output)).toEqual({
      step: 'Generating disk image',
      complaint: '"systemd-repart --json=pretty" returned non-zero exit code 1.',
      tail: ['Formatting future partition 1.', 'No space left on device'],
    })
  })

  it('takes the first program that failed for the cause of the others', () => {
    const output = '‣ One\n‣ "first" returned non-zero exit code 7.\n‣ "second" returned non-zero exit code 1.\n'
    expect(readFailure(output)).toMatchObject({ step: 'One', complaint: '"first" returned non-zero exit code 7.' })
  })

  it("gives mkosi's own complaint when it did not get as far as a step", () => {
    expect(readFailure('‣ "chocolate" is not a valid format\n‣ (Use disk)\n')).toEqual({
      step: undefined,
      complaint: '"chocolate" is not a valid format',
      tail: [],
    })
  })

  it('gives the exception of a mkosi that broke in a step', () => {
    const output = [
      '‣ Creating cpio archive initrd',
      '‣  Compressing initrd with zstd',
      'Traceback (most recent call last):',
      '  File "/mkosi/util.py", line 1, in copy',
      "FileNotFoundError: [Errno 2] No such file or directory: '/initrd'",
      '',
    ].join('\n')
    expect(readFailure(output)).toEqual({
      step: 'Compressing initrd with zstd',
      complaint: "FileNotFoundError: [Errno 2] No such file or directory: '/initrd'",
      tail: [],
    })
  })

  it('gives the last lines of a mkosi that broke', () => {
    const output = 'Traceback (most recent call last):\n  File "x", line 1\nValueError: no\n'
    expect(readFailure(output)).toEqual({
      step: undefined,
      complaint: 'ValueError: no',
      tail: ['Traceback (most recent call last):', '  File "x", line 1'],
    })
    expect(readFailure('').complaint).toBe('it said nothing')
  })
})
