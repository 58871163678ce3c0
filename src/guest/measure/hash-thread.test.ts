import { closeSync, openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type HashedFile, hashFile } from './hash-file.ts'
import { hashInThread } from './hash-thread.ts'

let descriptor: number
let directory: number

beforeEach(() => {
  descriptor = openSync(import.meta.filename, 'r')
  directory = openSync(import.meta.dirname, 'r')
})
afterEach(() => {
  for (const open of [descriptor, directory]) closeSync(open)
})

const banks = ['sha1', 'sha512'] as const
const own = () => hashInThread({ files: [{ descriptor, path: 'here' }], banks })
/** What has come from another thread is no Buffer any more. */
const plain = (files: readonly HashedFile[]) =>
  files.map(({ bytes, digests }) => [
    bytes,
    ...[...digests].map(([bank, digest]) => `${bank} ${Buffer.from(digest).toString('hex')}`),
  ])

describe('hashInThread()', () => {
  it('gives the digests of each file, as this thread would, one call after another and at once', async () => {
    const here = plain([hashFile(descriptor, banks, true)])
    expect(here[0]).toHaveLength(3)
    expect(plain(await own())).toEqual(here)
    expect(plain(await own())).toEqual(here)
    expect((await Promise.all([own(), own(), own()])).map(plain)).toEqual([here, here, here])
  })

  it('names the file that it cannot read, and hashes on', async () => {
    const files = [
      { descriptor, path: 'here' },
      { descriptor: directory, path: '/some/where' },
    ]
    await expect(hashInThread({ files, banks })).rejects.toThrow("Failed to read '/some/where': Is a directory")
    expect(await own()).toHaveLength(1)
  })

  it.for([
    ['process.exit(3)', /ended with 3, without a result/],
    ['throw new Error("out of everything")', /out of everything/],
  ] as const)('leaves nobody waiting for a thread that ends: %s', async ([code, problem]) => {
    const program = `require('node:worker_threads').parentPort.on('message', () => { ${code} })`
    // Whatever is idle would be taken first.
    const others = await Promise.all([own(), own(), own(), own()].map((one) => one.catch(() => [])))
    expect(others).toHaveLength(4)
    const files = [{ descriptor, path: 'here' }]
    const ending = Array.from({ length: 6 }, () =>
      hashInThread({ files, banks }, () => new Worker(program, { eval: true })),
    )
    const outcomes = await Promise.allSettled(ending)
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []))
    expect(reasons.length).toBeGreaterThan(0)
    for (const reason of reasons) expect(reason).toMatch(problem)
    expect(await own()).toHaveLength(1)
  })
})
