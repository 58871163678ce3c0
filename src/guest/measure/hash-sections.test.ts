import { EventEmitter } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { type HashWork, posted } from './hash-sections.ts'

function thread(work: HashWork): Worker {
  return new Worker(new URL('./hash-worker.ts', import.meta.url), { workerData: work })
}

describe('a thread that hashes', () => {
  it('posts digests by file', async () => {
    const descriptor = openSync(import.meta.filename, 'r')
    try {
      const outcome = await posted(thread({ files: [{ descriptor, path: 'here' }], banks: ['sha1', 'sha512'] }))
      if (!('hashed' in outcome)) throw new Error('it failed')
      expect([...(outcome.hashed[0]?.digests.keys() ?? [])]).toEqual(['sha1', 'sha512'])
      expect(outcome.hashed[0]?.bytes).toBeGreaterThan(500)
    } finally {
      closeSync(descriptor)
    }
  })

  it('names the file that it cannot read', async () => {
    const directory = openSync(import.meta.dirname, 'r')
    try {
      const files = [{ descriptor: directory, path: '/some/where' }]
      expect(await posted(thread({ files, banks: ['sha256'] }))).toEqual({ path: '/some/where', code: 'EISDIR' })
    } finally {
      closeSync(directory)
    }
  })

  it('leaves nobody waiting when it ends without a word, or with an error', async () => {
    const silent = new EventEmitter()
    setImmediate(() => silent.emit('exit', 3))
    await expect(posted(silent)).rejects.toThrow(/ended with 3, without a result/)
    const broken = new Worker('throw new Error("out of everything")', { eval: true })
    await expect(posted(broken)).rejects.toThrow('out of everything')
  })
})
