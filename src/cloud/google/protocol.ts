import { createHash } from 'node:crypto'
import { respond } from '../answers.ts'
import { decodePath, decodeQuery, slashedLocation } from '../path.ts'
import { type Answer, headerValue, type MetadataRequest, type MetadataResponse, type Setting } from '../provider.ts'
import { oncePerState } from '../tree.ts'
import type { GoogleInstance } from './instance.ts'
import { googleDocument } from './metadata.ts'
import { accessToken, identityToken } from './tokens.ts'
import { flattened, type GoogleNode, googleTree, listing, nodeAt } from './tree.ts'

const BASE = '/computeMetadata/v1'
/** Without a `timeout_sec`, a client waits as long as it likes; the service asks again this often. */
const HOLD_MS = 3_600_000

type Query = ReadonlyMap<string, string>

/** The metadata server of Compute Engine, version v1. */
export function answerGoogle(
  request: MetadataRequest,
  instance: GoogleInstance,
  nowMs: number,
  setting: Setting,
): Answer<GoogleInstance> {
  const answer = answerPlain(request, instance, nowMs, setting)
  if ('holdUntilMs' in answer) return answer
  return {
    ...answer,
    headers: [
      ...answer.headers,
      ['Metadata-Flavor', 'Google'],
      ['Server', 'Metadata Server for VM'],
      ['ETag', etagOf(answer.body)],
      ['X-XSS-Protection', '0'],
      ['X-Frame-Options', 'SAMEORIGIN'],
    ],
  }
}

function answerPlain(
  request: MetadataRequest,
  instance: GoogleInstance,
  nowMs: number,
  setting: Setting,
): Answer<GoogleInstance> {
  const names = decodePath(request.path)
  const pairs = decodeQuery(request.query)
  if (names === undefined || pairs === undefined) return errorPage(400, 'Your client has issued a malformed request.')
  if (headerValue(request.headers, 'X-Forwarded-For') !== undefined) {
    return errorPage(403, 'Request contains an X-Forwarded-For header.')
  }
  const root = ROOTS[request.path]
  if (root !== undefined) return respond(200, 'application/text', root)
  if (!request.path.startsWith(BASE)) return notFound(request)
  if (headerValue(request.headers, 'Metadata-Flavor')?.toLowerCase() !== 'google') {
    return errorPage(403, 'Missing Metadata-Flavor:Google header.')
  }
  const query = new Map(pairs)
  const below = belowBase(names)
  const isGuestAttribute = below[0] === 'instance' && below[1] === 'guest-attributes'
  if (isGuestAttribute && instance.guestAttributes === undefined) {
    return errorPage(403, 'Guest attributes endpoint access is disabled.')
  }
  if (request.method === 'PUT' && isGuestAttribute) return putGuestAttribute(request, instance, below.slice(2))
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return errorPage(405, `The request method ${request.method} is inappropriate for the URL.`)
  }
  if (query.get('wait_for_change') === 'true') return awaited(request, below, instance, nowMs, setting, query)
  return valueAt(request, below, instance, nowMs, setting, query)
}

/** Names below the base. Google's own agent asks for `/computeMetadata/v1//?recursive=true` and gets the whole tree. */
function belowBase(names: readonly string[]): readonly string[] {
  const below = names.slice(2)
  return below.every((name) => name === '') ? below.slice(-1) : below
}

/** What is listed above the tree itself, without the header. */
const ROOTS: Readonly<Record<string, string>> = { '/': 'computeMetadata/\n', '/computeMetadata/': 'v1/\n' }

/** Holds the answer until it has another ETag than the client knows, or than it had when the request came. */
function awaited(
  request: MetadataRequest,
  below: readonly string[],
  instance: GoogleInstance,
  nowMs: number,
  setting: Setting,
  query: Query,
): Answer<GoogleInstance> {
  const seconds = query.get('timeout_sec')
  if (seconds !== undefined && !/^\d{1,9}$/.test(seconds)) return errorPage(400, 'timeout_sec is no whole number.')
  const now = valueAt(request, below, instance, nowMs, setting, query)
  if (now.status !== 200) return now
  const etag = etagOf(now.body)
  const known = query.get('last_etag') ?? setting.held ?? etag
  const untilMs = seconds === undefined ? nowMs + HOLD_MS : request.arrivedAtMs + Number(seconds) * 1000
  return etag !== known || nowMs >= untilMs ? now : { holdUntilMs: untilMs, remember: known }
}

function valueAt(
  request: MetadataRequest,
  below: readonly string[],
  instance: GoogleInstance,
  nowMs: number,
  setting: Setting,
  query: Query,
): MetadataResponse<GoogleInstance> {
  if (setting.hasHwdbPaths && below.join('/') === 'instance/region') {
    return respond(200, 'application/text', `projects/${instance.numericProjectId}/regions/${instance.region}`)
  }
  const isSlashed = below.at(-1) === ''
  const node = nodeAt(treeOf(instance), isSlashed ? below.slice(0, -1) : below)
  if (node === undefined || (isSlashed && node.kind !== 'directory')) return notFound(request)
  const alt = query.get('alt')
  switch (node.kind) {
    case 'token':
      return respond(200, 'application/json', accessToken(instance, String(node.account.email), nowMs))
    case 'identity': {
      const audience = query.get('audience') ?? ''
      if (audience === '') return errorPage(400, 'non-empty audience parameter required')
      return respond(
        200,
        'text/html',
        identityToken(instance, String(node.account.email), query, nowMs, setting.signer),
      )
    }
    case 'value':
      if (alt === 'json') return respond(200, 'application/json', JSON.stringify(node.json))
      if (node.isJson && alt === 'text') {
        return respond(200, 'application/text', (node.json as readonly string[]).map((line) => `${line}\n`).join(''))
      }
      return respond(200, node.isJson ? 'application/json' : 'application/text', node.text)
    case 'directory':
      if (!isSlashed && below.length > 0) return redirect(request)
      return directoryAnswer(node, query.get('recursive')?.toLowerCase() === 'true', alt)
  }
}

function directoryAnswer(
  node: Extract<GoogleNode, { kind: 'directory' }>,
  isRecursive: boolean,
  alt: string | undefined,
): MetadataResponse<GoogleInstance> {
  if (!isRecursive) return respond(200, 'application/text', listing(node.children))
  return alt === 'text'
    ? respond(200, 'application/text', flattened(node))
    : respond(200, 'application/json', JSON.stringify(node.json))
}

const treeOf = oncePerState((instance: GoogleInstance): GoogleNode => googleTree(googleDocument(instance)))

/** `guest-attributes/<namespace>/<key>`, the only thing that a guest can write. */
function putGuestAttribute(
  request: MetadataRequest,
  instance: GoogleInstance,
  names: readonly string[],
): MetadataResponse<GoogleInstance> {
  const [namespace = '', key = '', more] = names
  const value = Buffer.from(request.body).toString()
  if (!/^[\w.-]+$/.test(namespace) || !/^[\w./-]+$/.test(key) || more !== undefined || value.length > 262_144) {
    return errorPage(400, 'A guest attribute has a namespace and a key.')
  }
  const old = instance.guestAttributes ?? {}
  const guestAttributes = { ...old, [namespace]: { ...old[namespace], [key]: value } }
  return { ...respond(200, 'text/html', ''), next: { ...instance, guestAttributes } }
}

function redirect(request: MetadataRequest): MetadataResponse<GoogleInstance> {
  const body = page(301, 'The document has moved.')
  return respond(301, 'text/html; charset=UTF-8', body, [['Location', slashedLocation(request)]])
}

function notFound({ path }: MetadataRequest): MetadataResponse<GoogleInstance> {
  return errorPage(404, `The requested URL ${escaped(path)} was not found on this server.`)
}

const TITLES: Readonly<Record<number, string>> = {
  301: 'Moved Permanently',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
}

function errorPage(status: number, text: string): MetadataResponse<GoogleInstance> {
  return respond(status, 'text/html; charset=UTF-8', page(status, text))
}

function page(status: number, text: string): string {
  const title = `Error ${status} (${TITLES[status]})`
  return `<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>${title}</title>\n  <p><b>${status}.</b> ${text}\n`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** 16 hexadecimal digits of what is answered. */
function etagOf(body: Uint8Array): string {
  return createHash('md5').update(body).digest('hex').slice(16)
}
