import { describe, expect, it } from 'vitest'
import { partitionRole, partitionTypeNamed, unfinishedType } from './partition-types.ts'

describe('unfinishedType()', () => {
  // What systemd-sysupdate 262 writes.
  it.for([
    ['root-x86-64', '7a01d3c6-92ac-43e9-bd77-5726b602ad9d', '64362e66-88a7-463b-b325-7af60c81be06'],
    ['usr-x86-64', 'dc0226f3-2b45-4572-844b-c7575b748b24', 'ac8558b5-455e-4869-8c5e-d8272455c06a'],
    ['usr-arm64-verity-sig', 'f4618311-0288-47b7-baa2-5cf9b380aebd', '6efbe3b8-d73e-4851-ac3b-6a3d8600794d'],
    ['linux-generic', '43456f75-4ab1-4a42-844a-3c2e640cb525', '5b60f346-140d-4a1b-8086-dc4a4097bd3c'],
  ])('derives the types of %s', ([name = '', partial, pending]) => {
    const type = partitionTypeNamed(name, 'x86-64') ?? ''
    expect([unfinishedType(type, 'partial'), unfinishedType(type, 'pending')]).toEqual([partial, pending])
  })
})

describe('partitionTypeNamed()', () => {
  it('knows names, aliases, the native and the secondary architecture, and UUIDs', () => {
    const named = (name: string) => partitionTypeNamed(name, 'x86-64')
    expect(named('usr')).toBe('8484680c-9521-48c6-9c11-b0720656f69e')
    expect(named('usr-amd64')).toBe(named('usr'))
    expect(named('root-secondary')).toBe(named('root-i386'))
    expect(named('8484680C952148C69C11B0720656F69E')).toBe(named('usr'))
    expect([named('foo'), named('root-foo'), named('usr-verity-foo'), named('toString')]).toEqual(
      Array(4).fill(undefined),
    )
    expect(partitionRole(named('root-aarch64-verity') ?? '')).toBe('root-verity')
    expect(partitionRole('00000000-0000-0000-0000-000000000000')).toBeUndefined()
  })
})
