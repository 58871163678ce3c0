import { createHash, randomBytes } from 'node:crypto'
import { threadId } from 'node:worker_threads'

/** The name of a run: it sorts by time. The same shape as those of `bootwright verify`. */
export function makeRunId(now: Date): string {
  return `${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(2).toString('hex')}`
}

/** The process or thread that runs tests, unique on this host while it lives. */
export function workerName(): string {
  return `worker ${process.pid}-${threadId}`
}

const SLUG_CHARACTERS = 80

/** The name of a test as that of a directory; two that would look alike get a digest. */
export function directoryName(testName: string): string {
  const slug = testName
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '')
  if (slug.length > 0 && slug.length <= SLUG_CHARACTERS) return slug
  const digest = createHash('sha256').update(testName).digest('hex').slice(0, 8)
  return `${slug.slice(0, SLUG_CHARACTERS)}${slug === '' ? '' : '-'}${digest}`
}
