import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { interfaceIndex } from '../../system/index.ts'
import { answer, ok, type ScriptedAnswer, type ScriptedEndpoint, scriptedEndpoint } from '../scripted-endpoint.ts'
import { fetchSearching } from './search.ts'
import { type BrokerSettings, DEFAULT_SETTINGS } from './settings.ts'

/** Only this one exists: an attempt by another fails at once. */
const LOOPBACK = interfaceIndex('lo') ?? 1
const MISSING = 2_000_000
let endpoint: ScriptedEndpoint

beforeEach(async () => {
  endpoint = await scriptedEndpoint()
})
afterEach(() => endpoint[Symbol.asyncDispose]())

async function search(
  answers: ScriptedAnswer[],
  addresses: () => ReadonlyMap<number, number>,
  given: Partial<BrokerSettings> & { wait?: boolean } = {},
): Promise<string> {
  endpoint.answers = answers
  const settings = {
    ...DEFAULT_SETTINGS,
    endpoint: { dataUrl: endpoint.url },
    runtimeDirectory: undefined,
    retryDelaysMs: [],
    searchDeadlineMs: 500,
    ...given,
  }
  const request = {
    key: '/k',
    interfaceIndex: undefined,
    refreshUSec: 1_000_000,
    cache: false,
    mark: undefined,
    wait: given.wait === true,
  }
  try {
    const { data, interfaceIndex: index } = await fetchSearching(
      settings,
      request,
      new Map(),
      new AbortController().signal,
      addresses,
    )
    return `${Buffer.from(data)} by ${index}`
  } catch (error) {
    const { error: name, parameters } = error as { error: string; parameters: object }
    return `${name.split('.').at(-1)} ${JSON.stringify(parameters)}`
  }
}

describe('fetchSearching()', () => {
  it('gives the first good answer, whatever the others say', async () => {
    expect(
      await search(
        [ok('x')],
        () =>
          new Map([
            [MISSING, 1],
            [LOOPBACK, 1],
          ]),
      ),
    ).toBe(`x by ${LOOPBACK}`)
  })

  it('lets an absence end the search', async () => {
    expect(await search([answer(404)], () => new Map([[LOOPBACK, 1]]), { wait: true })).toBe('KeyNotFound {}')
    expect(await search([answer(403)], () => new Map([[LOOPBACK, 1]]), { wait: true })).toBe('NotAvailable {}')
  })

  it('tells the failure of the last interface, without its parameters', async () => {
    expect(await search([undefined], () => new Map([[LOOPBACK, 1]]))).toBe('System {}')
    expect(await search([], () => new Map([[MISSING, 1]]))).toBe('CommunicationFailure {}')
  })

  it('waits for interfaces, and for better answers where that is wanted', async () => {
    expect(await search([], () => new Map(), { searchDeadlineMs: 50 })).toBe('Timeout {}')
    expect(await search([], () => new Map([[MISSING, 1]]), { searchDeadlineMs: 50, wait: true })).toBe('Timeout {}')
    let looks = 0
    const later = () => new Map(++looks > 1 ? [[LOOPBACK, 1]] : [])
    expect(await search([ok('x')], later)).toBe(`x by ${LOOPBACK}`)
    looks = 0
    const another = () =>
      new Map(
        ++looks > 2
          ? [
              [MISSING, 1],
              [LOOPBACK, 1],
            ]
          : [[MISSING, 1]],
      )
    expect(await search([ok('x')], another, { wait: true })).toBe(`x by ${LOOPBACK}`)
  })

  it('tries an interface once more that has got another address meanwhile', async () => {
    let looks = 0
    const growing = () => new Map([[LOOPBACK, ++looks > 1 ? 2 : 1]])
    expect(await search([undefined, ok('x')], growing)).toBe(`x by ${LOOPBACK}`)
    looks = 0
    expect(await search([undefined, undefined, ok('x')], growing)).toBe('System {}')
  })

  it('tries an interface with two addresses twice only as systemd 262 does', async () => {
    const two = () => new Map([[LOOPBACK, 2]])
    expect(await search([undefined, ok('x')], two)).toBe('System {}')
    expect(await search([undefined, ok('x')], two, { compat: true })).toBe(`x by ${LOOPBACK}`)
  })
})
