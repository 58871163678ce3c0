/** What tests of the providers share: a request as plain data, and the answer in words. */
import type { Instance } from './instance.ts'
import {
  type Answer,
  type HeaderLines,
  headerValue,
  type MetadataRequest,
  type Provider,
  type Setting,
} from './provider.ts'
import { makeSigner } from './signer.ts'

export const START = Date.UTC(2026, 4, 5, 6, 7, 8)
const here = { address: '127.0.0.1', port: 80 }
/** One for all tests of a file: making keys takes longer than the test. */
export const signer = makeSigner()
export const PLAIN: Setting = { signer, hasHwdbPaths: false, held: undefined }

export interface Asked {
  readonly status: number
  readonly text: string
  readonly type: string | undefined
  readonly headers: HeaderLines
  readonly next: Instance | undefined
}

export interface Question {
  readonly method?: string
  readonly headers?: HeaderLines
  readonly body?: string
  readonly nowMs?: number
  readonly arrivedAtMs?: number
  readonly endpoint?: string
  readonly peerPort?: number
  readonly setting?: Partial<Setting>
}

/** `target` is path and query. */
export function requestOf(target: string, question: Question = {}): MetadataRequest {
  const [path = '', ...query] = target.split('?')
  return {
    method: question.method ?? 'GET',
    path,
    query: query.join('?'),
    headers: question.headers ?? [],
    body: Buffer.from(question.body ?? ''),
    endpoint: question.endpoint ?? '',
    peer: { ...here, port: question.peerPort ?? 40_000 },
    local: here,
    arrivedAtMs: question.arrivedAtMs ?? START,
  }
}

export function answerOf<I extends Instance>(
  provider: Provider<I>,
  target: string,
  instance: I,
  question: Question = {},
): Answer<I> {
  const request = requestOf(target, { endpoint: provider.endpoints[0].name, ...question })
  return provider.answer(request, instance, question.nowMs ?? START, { ...PLAIN, ...question.setting })
}

/** Asks for what is answered at once. */
export function ask<I extends Instance>(
  provider: Provider<I>,
  target: string,
  instance: I = provider.instance(),
  question: Question = {},
): Asked {
  const answer = answerOf(provider, target, instance, question)
  if ('holdUntilMs' in answer) throw new Error(`${target} is held until ${answer.holdUntilMs}`)
  return {
    status: answer.status,
    text: Buffer.from(answer.body).toString(),
    type: headerValue(answer.headers, 'content-type'),
    headers: answer.headers,
    next: answer.next,
  }
}
