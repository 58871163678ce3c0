import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { BootMachine } from '../../index.ts'
import { loaderVariable, machineWith, uki } from './boot-disk.test-support.ts'
import { BOOT, digestOf, find, predict } from './predict-boot.test-support.ts'

describe('the boot secret', () => {
  const secret = Buffer.alloc(32, 1)
  const mixin = Buffer.alloc(32, 2)
  const files = { esp: { [BOOT]: uki(), 'loader/boot-secret-mixin': mixin } }
  const initrd = (machine: BootMachine): string => digestOf(find(predict(machine).events, 'initrd'))
  const variables = [loaderVariable('LoaderBootSecret', secret)]
  const withoutSecret = initrd(machineWith(files))

  it('is in the initrd once the variable store and the ESP have their parts of it', () => {
    const known = initrd(machineWith(files, { offersRandomSeed: true, variables }))
    expect(known).toMatch(/^[0-9a-f]{64}$/)
    expect(known).not.toBe(withoutSecret)
    const id = Buffer.from('test')
    const derived = createHash('sha256')
      .update('systemd-stub derive secret label v1')
      .update(secret)
      .update(mixin)
      .update(Buffer.from('0400000000000000', 'hex'))
      .update(id)
      .digest()
    expect(initrd(machineWith(files, { bootSecret: derived }))).toBe(known)
  })

  it('cannot be known before the stub has made it', () => {
    expect(initrd(machineWith(files, { offersRandomSeed: true }))).toContain('makes up LoaderBootSecret')
    const fresh = { esp: { [BOOT]: uki() } }
    expect(initrd(machineWith(fresh, { offersRandomSeed: true, variables }))).toContain(
      'makes up loader/boot-secret-mixin',
    )
  })

  it('is not made without a random seed, and not taken from a variable that the system can read', () => {
    expect(initrd(machineWith(files, { variables }))).toBe(withoutSecret)
    const readable = [loaderVariable('LoaderBootSecret', secret, 7)]
    expect(initrd(machineWith(files, { offersRandomSeed: true, variables: readable }))).toBe(withoutSecret)
  })
})
