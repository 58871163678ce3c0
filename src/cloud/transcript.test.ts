import { describe, expect, it } from 'vitest'
import { type Exchange, shortDigest, Transcript, withoutSecrets } from './transcript.ts'

function exchange(target: string): Omit<Exchange, 'number'> {
  const here = { address: '127.0.0.1', port: 1 }
  return {
    atMs: 0,
    peer: here,
    local: here,
    endpoint: 'imds',
    method: 'GET',
    target,
    headers: [],
    requestBytes: 0,
    outcome: 'answered',
    status: 200,
    responseBytes: 0,
    responseDigest: undefined,
    faults: [],
  }
}

describe('Transcript', () => {
  it('numbers exchanges and tells subscribers until they leave', () => {
    const transcript = new Transcript()
    const heard: string[] = []
    transcript.record(exchange('/before'))
    const subscription = transcript.subscribe(({ number, target }) => heard.push(`${number} ${target}`))
    transcript.record(exchange('/a'))
    subscription[Symbol.dispose]()
    transcript.record(exchange('/after'))
    expect(heard).toEqual(['2 /a'])
    expect(transcript.exchanges.map(({ number }) => number)).toEqual([1, 2, 3])
  })

  it('iterates over the past, then the present, and ends when it is closed', async () => {
    const transcript = new Transcript()
    transcript.record(exchange('/1'))
    const seen: string[] = []
    const reading = (async () => {
      for await (const { target } of transcript) {
        seen.push(target)
        if (target === '/1') queueMicrotask(() => transcript.record(exchange('/2')))
        if (target === '/2') transcript.close()
      }
    })()
    await reading
    expect(seen).toEqual(['/1', '/2'])
  })

  it('stays bounded, drops the oldest and says how many', async () => {
    const transcript = new Transcript(2)
    for (const target of ['/1', '/2', '/3', '/4']) transcript.record(exchange(target))
    transcript.close()
    expect(transcript.dropped).toBe(2)
    expect(await Array.fromAsync(transcript, ({ number, target }) => [number, target])).toEqual([
      [3, '/3'],
      [4, '/4'],
    ])
  })

  it('writes one JSON object a line', () => {
    const transcript = new Transcript()
    transcript.record(exchange('/line\nbreak'))
    transcript.record(exchange('/b'))
    const lines = transcript.toJsonLines().split('\n')
    expect(lines).toHaveLength(3)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ number: 1, target: '/line\nbreak', status: 200 })
  })
})

it('withoutSecrets() replaces secret values whatever the case of the name, and nothing else', () => {
  expect(
    withoutSecrets(
      [
        ['X-Token', 'hunter2'],
        ['Host', 'hunter2'],
      ],
      ['x-token'],
    ),
  ).toEqual([
    ['X-Token', shortDigest('hunter2')],
    ['Host', 'hunter2'],
  ])
  expect(shortDigest('hunter2')).toMatch(/^sha256:[0-9a-f]{12}$/)
})
