import { describe, expectTypeOf, it } from 'vitest'
import type { PcrBank } from '../tpm/index.ts'
import type { Boot, StoppedTestMachine, TestMachine } from './boot-options.ts'
import type { MachineMatchers } from './matchers/index.ts'

/** Never called: what compiles is the test, and `npm run check:types` runs it. */
async function _compiles(boot: Boot): Promise<void> {
  const usual = await boot('minimal')
  await usual.run(['true'])
  await usual.unitActive('multi-user.target')
  expectTypeOf(usual).toEqualTypeOf<TestMachine<true, { readonly banks: readonly PcrBank[] }>>()
  const stopped = await usual.powerOff()
  expectTypeOf(stopped).toExtend<StoppedTestMachine>()
  await (await stopped.restart()).run(['true'])
  // @ts-expect-error what is off runs nothing
  stopped.run(['true'])
  // @ts-expect-error there is no such verb
  usual.explode()
  // @ts-expect-error a command is a list of words
  usual.run('true')

  const silent = await boot('minimal', { channel: false })
  silent.console.onLine(() => undefined)
  // @ts-expect-error nobody in the guest takes commands
  silent.run(['true'])
  // @ts-expect-error nor reads files
  silent.readFile('/etc/os-release')
  // @ts-expect-error nor could say that it has booted
  silent.booted()
  // @ts-expect-error so there is no snapshot to begin with
  await boot('minimal', { channel: false, from: 'booted' })
  // @ts-expect-error and no boot to wait for
  await boot('minimal', { channel: false, until: 'booted' })
  await (await silent.cutPower()).restart()

  const bare = await boot('minimal', { tpm: 'absent' })
  await bare.run(['true'])
  type BareVerb = keyof typeof bare
  expectTypeOf<Extract<BareVerb, 'tpm' | 'eventLog'>>().toEqualTypeOf<never>()

  await boot('minimal', { tpm: { banks: ['sha1', 'sha384'] }, memoryMiB: 2048 })
  // @ts-expect-error there is no such bank
  await boot('minimal', { tpm: { banks: ['md5'] } })
  // @ts-expect-error nor such an option
  await boot('minimal', { memroyMiB: 2048 })
  await boot('minimal', { from: 'cold', until: 'power-on' })
  // @ts-expect-error what comes from a snapshot has booted
  await boot('minimal', { until: 'power-on' })
  // @ts-expect-error likewise
  await boot('minimal', { from: 'booted', until: 'power-on' })
}

declare const matchers: MachineMatchers<void>

describe('the types', () => {
  it('make impossible machines not compile', () => {
    expectTypeOf(_compiles).toBeFunction()
  })

  it('say which matchers have to be awaited', () => {
    expectTypeOf<ReturnType<typeof matchers.toPrint>>().toEqualTypeOf<void>()
    expectTypeOf<ReturnType<typeof matchers.toBeRunning>>().toEqualTypeOf<Promise<void>>()
    expectTypeOf<Parameters<typeof matchers.toHavePcr>[0]>().toEqualTypeOf<number>()
  })
})
