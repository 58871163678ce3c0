import { leafBody } from '../answers.ts'
import { decodePath } from '../path.ts'
import { headerValue, type MetadataRequest, type MetadataResponse, type Setting } from '../provider.ts'
import { issueToken, parseTtl, remainingSeconds, type TokenScope } from '../tokens.ts'
import { find } from '../tree.ts'
import type { AwsInstance } from './instance.ts'
import { AWS_VERSIONS, awsTree } from './metadata.ts'

/** Upper bound of `X-aws-ec2-metadata-token-ttl-seconds`. */
const MAX_TTL_SECONDS = 21_600
export const TOKEN_HEADER = 'X-aws-ec2-metadata-token'
export const TTL_HEADER = 'X-aws-ec2-metadata-token-ttl-seconds'
export const TOKEN_PATH = '/latest/api/token'

const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
} as const

/** IMDSv1 and IMDSv2 of EC2, as its user guide describes them. */
export function answerAws(
  request: MetadataRequest,
  instance: AwsInstance,
  nowMs: number,
  setting: Setting,
): MetadataResponse<AwsInstance> {
  const { httpEndpoint, httpTokens } = instance.metadataOptions
  if (httpEndpoint === 'disabled') return errorPage(403)
  if (request.method === 'PUT') return answerPut(request, instance, nowMs)
  if (request.method !== 'GET' && request.method !== 'HEAD') return errorPage(405, [['Allow', 'GET, HEAD, PUT']])
  if (request.path === TOKEN_PATH) return errorPage(405, [['Allow', 'PUT']])

  const token = headerValue(request.headers, TOKEN_HEADER)
  let lifetime: number | undefined
  if (token !== undefined) {
    // A wrong token is refused even where none is needed.
    lifetime = remainingSeconds(scopeOf(instance), token, nowMs)
    if (lifetime === undefined) return errorPage(401)
  } else if (httpTokens === 'required') {
    return errorPage(401)
  }
  return answerGet(request.path, instance, nowMs, setting, lifetime)
}

function answerPut(request: MetadataRequest, instance: AwsInstance, nowMs: number): MetadataResponse<AwsInstance> {
  // A header that proxies add: a token must not leave through a misconfigured one.
  if (headerValue(request.headers, 'X-Forwarded-For') !== undefined) return errorPage(403)
  if (request.path !== TOKEN_PATH) {
    const version = request.path.split('/')[1] ?? ''
    return version !== 'latest' && AWS_VERSIONS.includes(version)
      ? errorPage(403)
      : errorPage(405, [['Allow', 'GET, HEAD']])
  }
  const ttlSeconds = parseTtl(headerValue(request.headers, TTL_HEADER), MAX_TTL_SECONDS)
  if (ttlSeconds === undefined) return errorPage(400)
  const token = issueToken(scopeOf(instance), nowMs, ttlSeconds)
  return {
    status: 200,
    headers: [
      ['Content-Type', 'text/plain'],
      [TTL_HEADER, `${ttlSeconds}`],
      ['Server', 'EC2ws'],
    ],
    body: Buffer.from(token),
    hopLimit: instance.metadataOptions.httpPutResponseHopLimit,
  }
}

function answerGet(
  path: string,
  instance: AwsInstance,
  nowMs: number,
  { signer }: Setting,
  lifetime: number | undefined,
): MetadataResponse<AwsInstance> {
  // The AWS SDK for JavaScript begins its paths with two slashes.
  const names = decodePath(path.replace(/^\/\/+/, '/'))
  if (names === undefined) return errorPage(400)
  const found = find(awsTree(instance), names)
  if (found === undefined) return errorPage(404)
  const { body, contentType } = leafBody('listing' in found ? found.listing : found.leaf, nowMs, signer)
  return {
    status: 200,
    headers: [
      ['Content-Type', contentType ?? 'text/plain'],
      ...(lifetime === undefined ? [] : [[TTL_HEADER, `${lifetime}`] as const]),
      ['Accept-Ranges', 'none'],
      ['Server', 'EC2ws'],
    ],
    body,
  }
}

function scopeOf(instance: AwsInstance): TokenScope {
  return { service: 'imdsv2', instanceId: instance.id, generation: instance.tokenGeneration }
}

/** EC2's errors are XHTML documents whose title and heading are the status. */
function errorPage(
  status: keyof typeof TITLES,
  headers: readonly (readonly [string, string])[] = [],
): MetadataResponse<AwsInstance> {
  const title = `${status} - ${TITLES[status]}`
  const page = [
    '<?xml version="1.0" encoding="iso-8859-1"?>',
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"',
    '\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">',
    '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">',
    ` <head>\n  <title>${title}</title>\n </head>`,
    ` <body>\n  <h1>${title}</h1>\n </body>`,
    '</html>\n',
  ]
  return {
    status,
    headers: [['Content-Type', 'text/html'], ...headers, ['Server', 'EC2ws']],
    body: Buffer.from(page.join('\n')),
  }
}
