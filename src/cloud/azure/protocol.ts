import { respond } from '../answers.ts'
import { isObject, type Json, jsonAt, members, scalarText } from '../json.ts'
import { decodePath, decodeQuery } from '../path.ts'
import {
  type HeaderLines,
  headerValue,
  type MetadataRequest,
  type MetadataResponse,
  type Setting,
} from '../provider.ts'
import type { AzureInstance } from './instance.ts'
import { instanceDocument, loadBalancerDocument, scheduledEventsDocument } from './metadata.ts'
import { attestedDocument, oauth2Token } from './signed.ts'

const JSON_TYPE = 'application/json; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'
export const NEWEST_VERSIONS = ['2025-04-07', '2024-07-17', '2024-03-15'] as const
/** Versions of the public documentation. */
export const AZURE_VERSIONS: readonly string[] = [
  '2017-03-01 2017-04-02 2017-08-01 2017-10-01 2017-11-01 2017-12-01 2018-02-01 2018-04-02 2018-10-01 2019-01-01',
  '2019-02-01 2019-03-11 2019-04-01 2019-04-30 2019-06-01 2019-06-04 2019-08-01 2019-08-15 2019-11-01 2020-06-01',
  '2020-07-01 2020-07-15 2020-09-01 2020-10-01 2020-12-01 2021-01-01 2021-02-01 2021-03-01 2021-05-01 2021-08-01',
  '2021-10-01 2021-11-01 2021-11-15 2021-12-13 2023-07-01 2023-11-15 2024-03-15 2024-07-17 2025-04-07',
].flatMap((line) => line.split(' '))
/** Of the nonce of an attested document. */
const MAX_NONCE = 32

type Answered = MetadataResponse<AzureInstance>
type Query = ReadonlyMap<string, string>

/** The Instance Metadata Service of Azure. */
export function answerMetadata(
  request: MetadataRequest,
  instance: AzureInstance,
  nowMs: number,
  setting: Setting,
): Answered {
  const { requestsPerSecond, recentRequestsMs } = instance
  if (requestsPerSecond === undefined) return answerUnlimited(request, instance, nowMs, setting)
  const recent = recentRequestsMs.filter((ms) => ms > nowMs - 1000)
  if (recent.length >= requestsPerSecond) return failure(429, 'Too many requests', [['Retry-After', '1']])
  const counted = { ...instance, recentRequestsMs: [...recent, nowMs] }
  const answer = answerUnlimited(request, counted, nowMs, setting)
  return { ...answer, next: answer.next ?? counted }
}

function answerUnlimited(request: MetadataRequest, instance: AzureInstance, nowMs: number, setting: Setting): Answered {
  if (headerValue(request.headers, 'X-Forwarded-For') !== undefined) {
    return failure(400, 'Bad request. Requests must not contain the header X-Forwarded-For')
  }
  if (headerValue(request.headers, 'Metadata')?.toLowerCase() !== 'true') {
    return failure(400, 'Bad request. Required metadata header not specified')
  }
  // A slash at the end means the same.
  const names = decodePath(request.path.replace(/(?<=.)\/$/, ''))
  const pairs = decodeQuery(request.query)
  if (names === undefined || pairs === undefined) return failure(400, 'Bad request')
  if (names[0] !== 'metadata') return failure(404, 'Not found')
  if (names[1] === 'versions') return json({ apiVersions: AZURE_VERSIONS })
  const query: Query = new Map(pairs)
  if (query.size !== pairs.length) return failure(400, 'Bad request. Duplicate query parameters')
  const version = query.get('api-version')
  if (version === undefined || !AZURE_VERSIONS.includes(version)) {
    const error = 'Bad request. api-version is invalid or was not specified in the request.'
    return json({ error, 'newest-versions': NEWEST_VERSIONS }, 400)
  }
  const isAck = names[1] === 'scheduledevents' && request.method === 'POST'
  if (request.method !== 'GET' && !isAck) return failure(405, 'Method not allowed')
  switch (names[1]) {
    case 'instance':
      return answerInstance(names.slice(2), instance, version, query, setting)
    case 'attested':
      return answerAttested(names.slice(2), instance, query, nowMs, setting)
    case 'identity':
      return answerIdentity(names.slice(2), instance, query, nowMs, setting)
    case 'loadbalancer':
      return value(loadBalancerDocument(instance), names.slice(2), query)
    case 'scheduledevents':
      return isAck ? startEvents(request, instance) : json(scheduledEventsDocument(instance))
    default:
      return failure(404, 'Not found')
  }
}

function answerInstance(
  names: readonly string[],
  instance: AzureInstance,
  version: string,
  query: Query,
  setting: Setting,
): Answered {
  const document = instanceDocument(instance, version, setting.hasHwdbPaths)
  const isExtended = query.get('extended') === 'true' && names.length === 0
  return value(
    isExtended ? { ...document, extended: { compute: { hasCustomData: false, ppsType: 'None' } } } : document,
    names,
    query,
  )
}

/** A part of a document: JSON, or the text of a leaf, which has no JSON. */
function value(document: Json, names: readonly string[], query: Query): Answered {
  const found = jsonAt(document, names)
  const format = query.get('format') ?? 'json'
  if (format !== 'json' && format !== 'text') return failure(400, `Bad request. Format ${format} is not supported`)
  if (found === undefined) return failure(404, 'Not found')
  const isLeaf = !isObject(found) && !Array.isArray(found)
  if (format === 'json') {
    return isLeaf ? failure(400, 'Bad request. Use format=text for a leaf element') : json(found)
  }
  if (isLeaf) return respond(200, TEXT_TYPE, scalarText(found))
  const lines = members(found).map(([name, child]) => `${name}${typeof child === 'object' ? '/' : ''}`)
  return respond(200, TEXT_TYPE, lines.join('\n'))
}

function answerAttested(
  names: readonly string[],
  instance: AzureInstance,
  query: Query,
  nowMs: number,
  { signer }: Setting,
): Answered {
  if (names.join('/') !== 'document') return failure(404, 'Not found')
  const nonce = query.get('nonce') ?? new Date(nowMs).toISOString().replaceAll(/\D/g, '').slice(0, 14)
  if (!/^\w+$/.test(nonce) || nonce.length > MAX_NONCE) return failure(400, 'Bad request. The nonce is invalid')
  return json(attestedDocument(instance, nonce, nowMs, signer))
}

/** Identities are named by one of three identifiers. */
const IDENTIFIERS = {
  client_id: 'clientId',
  object_id: 'objectId',
  msi_res_id: 'resourceId',
  mi_res_id: 'resourceId',
} as const

function answerIdentity(
  names: readonly string[],
  instance: AzureInstance,
  query: Query,
  nowMs: number,
  { signer }: Setting,
): Answered {
  if (names.join('/') !== 'oauth2/token') return failure(404, 'Not found')
  const refuse = (description: string): Answered =>
    json({ error: 'invalid_request', error_description: description }, 400)
  const resource = query.get('resource') ?? ''
  if (resource === '') return refuse("Required query variable 'resource' is missing")
  let identity = instance.identities.at(0)
  for (const [parameter, field] of Object.entries(IDENTIFIERS)) {
    const wanted = query.get(parameter)
    if (wanted === undefined) continue
    identity = instance.identities.find((one) => one[field].toLowerCase() === wanted.toLowerCase())
  }
  if (identity === undefined) return refuse('Identity not found')
  return json(oauth2Token(instance, identity, resource, nowMs, signer))
}

/** `{"StartRequests": [{"EventId": "…"}]}` starts scheduled events before their time. */
function startEvents(request: MetadataRequest, instance: AzureInstance): Answered {
  let wanted: Set<string>
  try {
    const { StartRequests } = JSON.parse(Buffer.from(request.body).toString())
    wanted = new Set((StartRequests as { EventId: string }[]).map(({ EventId }) => EventId.toLowerCase()))
  } catch {
    return failure(400, 'Bad request. StartRequests is malformed')
  }
  const known = new Set(instance.scheduledEvents.map(({ eventId }) => eventId.toLowerCase()))
  if ([...wanted].some((id) => !known.has(id))) return failure(400, 'Bad request. There is no such event')
  const scheduledEvents = instance.scheduledEvents.map((event) =>
    wanted.has(event.eventId.toLowerCase()) ? ({ ...event, eventStatus: 'Started' } as const) : event,
  )
  const documentIncarnation = instance.documentIncarnation + 1
  return { ...respond(200, JSON_TYPE, ''), next: { ...instance, scheduledEvents, documentIncarnation } }
}

function json(document: Json, status = 200): Answered {
  return respond(status, JSON_TYPE, JSON.stringify(document))
}

function failure(status: number, error: string, headers: HeaderLines = []): Answered {
  return respond(status, JSON_TYPE, JSON.stringify({ error }), headers)
}
