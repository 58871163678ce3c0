import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { quote } from '../system/index.ts'
import { readyToolchain } from '../toolchain/index.ts'
import { type ShellGuest, shellGuest } from './shell-guest.test-support.ts'
import { varlink } from './varlink.ts'

const toolchain = await readyToolchain().catch(() => undefined)

describe.skipIf(toolchain === undefined)('varlink() (needs the tools: ./bootwright setup)', () => {
  let shell: ShellGuest
  /** A service that lives as long as its connection. */
  const SERVICE = 'exec:/usr/bin/bootctl'

  beforeEach(() => {
    const first = shellGuest()
    const programs = join(first.directory, 'programs')
    mkdirSync(programs)
    const command = toolchain?.command(['varlinkctl']).argv.map(quote).join(' ')
    writeFileSync(join(programs, 'varlinkctl'), `#!/bin/sh\nexec ${command} "$@"\n`)
    chmodSync(join(programs, 'varlinkctl'), 0o755)
    const second = shellGuest({ PATH: `${programs}:${process.env.PATH}` })
    shell = { ...second, [Symbol.dispose]: () => [second, first].map((one) => one[Symbol.dispose]()) }
  })

  afterEach(() => shell[Symbol.dispose]())

  it('calls, and streams replies', async () => {
    await using service = varlink(shell.guest, SERVICE)
    const info = await service.call<{ interfaces: string[] }>('org.varlink.service.GetInfo')
    expect(info.interfaces).toContain('org.varlink.service')
    const replies = await Array.fromAsync(service.stream('org.varlink.service.GetInfo'))
    expect(replies).toEqual([info])
  })

  it.for([
    ['org.varlink.service.GetInfo', { nonsense: 1 }, 'org.varlink.service.InvalidParameter', { parameter: 'nonsense' }],
    ['no.such.Method', {}, 'org.varlink.service.MethodNotFound', { method: 'no.such.Method' }],
  ] as const)(
    'rejects %s with the error of the service and its parameters',
    async ([method, given, error, parameters]) => {
      await using service = varlink(shell.guest, SERVICE)
      const expected = { name: 'VarlinkError', code: 'GUEST_COMMAND_FAILED', error, parameters }
      await expect(service.call(method, given)).rejects.toMatchObject(expected)
      await expect(Array.fromAsync(service.stream(method, given))).rejects.toMatchObject(expected)
    },
  )

  it('says that nobody answers', async () => {
    await using nobody = varlink(shell.guest, join(shell.directory, 'no-such-socket'))
    const failure = {
      name: 'BootwrightError',
      code: 'GUEST_COMMAND_FAILED',
      message: expect.stringMatching(/Cannot call a\.b\.C of .*no-such-socket: .*No such file/),
    }
    await expect(nobody.call('a.b.C')).rejects.toMatchObject(failure)
    await expect(Array.fromAsync(nobody.stream('a.b.C'))).rejects.toMatchObject(failure)
  })

  it('is closed: no call is made any more', async () => {
    const service = varlink(shell.guest, SERVICE)
    await service[Symbol.asyncDispose]()
    await expect(service.call('org.varlink.service.GetInfo')).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect(Array.fromAsync(service.stream('org.varlink.service.GetInfo'))).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })
})
