import { describe, expect, it } from 'vitest'
import { toolOutput } from '../tool-output.ts'
import { sysupdateService } from './varlink-service.ts'

const [out, error] = [() => undefined, () => undefined]
const output = toolOutput({ environment: {}, isOutTerminal: false, isErrorTerminal: false, out, error })
const service = sysupdateService({ version: '', environment: {} }, { root: '/', compat: false }, output)
const call = (method: string, parameters: object, uid = 0) =>
  service.answer(
    { method: `io.systemd.SysUpdate.${method}`, parameters, more: false, oneway: false, upgrade: false } as never,
    { peer: { uid }, signal: new AbortController().signal } as never,
  )

describe('sysupdateService()', () => {
  it.for([
    [{ class: 'host', name: 'x' }],
    [{ class: 'component' }],
    [{ class: 'component', name: '../' }],
    [{ class: 'component', name: null }],
    [{ class: 'bogus', name: 'x' }],
  ])('says that a target cannot be: %j', async ([target]) => {
    await expect(call('ListFeatures', { target })).rejects.toMatchObject({
      error: 'org.varlink.service.InvalidParameter',
      parameters: { parameter: expect.stringMatching(/^(?:target|class)/) },
    })
  })

  it.for([
    [{ class: 'component', name: 'no-such-component' }],
    [{ class: 'sysext', name: 'no-such-extension' }],
    [{ class: 'machine', name: '../../etc' }],
  ])('says that there is no such target: %j', async ([target]) => {
    for (const method of ['ListFeatures', 'CheckNew']) {
      await expect(call(method, { target })).rejects.toMatchObject({ error: 'io.systemd.SysUpdate.NoSuchTarget' })
    }
  })

  it('asks no sources for who is not root, and takes nothing that it does not know', async () => {
    const target = { class: 'component', name: 'x' }
    await expect(call('CheckNew', { target }, 1000)).rejects.toMatchObject({
      error: 'org.varlink.service.PermissionDenied',
    })
    await expect(call('ListTargets', { more: true })).rejects.toMatchObject({
      error: 'org.varlink.service.InvalidParameter',
    })
    expect(await call('ListTargets', {})).toEqual({ targets: expect.any(Array) })
  })
})
