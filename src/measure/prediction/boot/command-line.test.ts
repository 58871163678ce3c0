import { describe, expect, it } from 'vitest'
import { kernelParameter, mangled, splitProfile, textLoadOptions, withAutomaticConsole } from './command-line.ts'
import type { FirmwareConsoles } from './input.ts'

describe('withAutomaticConsole()', () => {
  const none: FirmwareConsoles = { serialPort: undefined, virtioConsoles: 0, hasGraphics: false }

  it.for<[string, Partial<FirmwareConsoles>, string]>([
    ['quiet', {}, 'quiet'],
    ['quiet', { serialPort: 0 }, 'quiet console=uart,io,0x3f8'],
    ['quiet', { serialPort: 3 }, 'quiet console=uart,io,0x2e8'],
    ['quiet', { serialPort: 4 }, 'quiet'],
    ['', { serialPort: 1, hasGraphics: true }, 'console=uart,io,0x2f8 console=tty0'],
    ['quiet', { virtioConsoles: 1 }, 'quiet console=hvc0'],
    ['quiet', { virtioConsoles: 2 }, 'quiet'],
    [
      'quiet',
      { serialPort: 0, virtioConsoles: 1, hasGraphics: true },
      'quiet console=uart,io,0x3f8 console=hvc0 console=tty0',
    ],
    ['quiet', { hasGraphics: true }, 'quiet'],
    ['console=ttyS0', { serialPort: 0 }, 'console=ttyS0'],
    ['a console=x', { serialPort: 0 }, 'a console=x'],
    ['netconsole=x', { serialPort: 0 }, 'netconsole=x console=uart,io,0x3f8'],
  ])('%s with %j gives %s', ([commandLine, consoles, expected]) => {
    expect(withAutomaticConsole(commandLine, { ...none, ...consoles })).toBe(expected)
  })
})

it('mangled() turns control characters into spaces and cuts both ends', () => {
  expect(mangled('\n a\tb  c\x7f\0 ')).toBe('a b  c')
  expect(mangled(' \n')).toBe('')
})

it('splitProfile() takes the prefix and one space', () => {
  expect(splitProfile('@1  a')).toEqual({ profile: 1, rest: ' a' })
  expect(splitProfile('@12')).toEqual({ profile: 12, rest: '' })
  for (const text of ['@1a', '@', 'a @1', '@x 1', '@9999999999 a'])
    expect(splitProfile(text)).toEqual({ profile: 0, rest: text })
})

it('textLoadOptions() takes text up to a NUL, and nothing else', () => {
  expect(textLoadOptions('a b\0\x01')).toBe('a b')
  expect(textLoadOptions('a\x01')).toBeUndefined()
  expect(textLoadOptions(undefined)).toBeUndefined()
})

it('kernelParameter() takes the last word of a name', () => {
  expect(kernelParameter('root=a xroot=b root=c=d', 'root')).toBe('c=d')
  expect(kernelParameter('roots=a', 'root')).toBeUndefined()
})
