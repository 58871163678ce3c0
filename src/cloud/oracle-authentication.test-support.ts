import { createHash, verify, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What a client has shown of the instance that it says it is on. */
interface Judgement {
  readonly tenantId: string
  /** Whether the authority beside it has certified the certificate. */
  readonly certified: boolean
  /** Whether the key of the certificate has signed the request with its body. */
  readonly signed: boolean
}

interface Asked {
  readonly certificate: string
  readonly intermediateCertificates: readonly string[]
}

/** On loopback, what instance principals get their tokens from at Oracle: it judges who asks by certificate and signature. */
export class OracleAuthentication {
  readonly judgements: Judgement[] = []
  /** A JSON web token that nobody has signed. */
  readonly token = [{ alg: 'none' }, { exp: Math.floor(Date.now() / 1000) + 3600 }, {}]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      void text(request).then((body) => {
        const judgement = judged(request, body)
        this.judgements.push(judgement)
        const isKnown = judgement.certified && judgement.signed
        response.writeHead(isKnown ? 200 : 401, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify(isKnown ? { token: this.token } : { code: 'NotAuthenticated' }))
      })
    })
  }

  static async start(): Promise<OracleAuthentication> {
    const service = new OracleAuthentication()
    service.#server.listen(0, '127.0.0.1')
    await once(service.#server, 'listening')
    return service
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function judged(request: IncomingMessage, body: string): Judgement {
  const { certificate, intermediateCertificates } = JSON.parse(body) as Asked
  const leaf = certificateOf(certificate)
  const authority = certificateOf(intermediateCertificates[0] ?? '')
  const { keyId = '', headers = '', signature = '' } = authorization(request)
  const [tenantId = '', , fingerprint] = keyId.split('/')
  const isWhole = request.headers['x-content-sha256'] === createHash('sha256').update(body).digest('base64')
  const isSigned = verify('sha256', signedText(request, headers), leaf.publicKey, Buffer.from(signature, 'base64'))
  return {
    tenantId,
    certified: leaf.verify(authority.publicKey) && leaf.subject.split('\n').includes(`OU=opc-tenant:${tenantId}`),
    signed: isSigned && isWhole && fingerprint?.toUpperCase() === leaf.fingerprint,
  }
}

function certificateOf(base64: string): X509Certificate {
  return new X509Certificate(Buffer.from(base64, 'base64'))
}

/** `Signature version="1",keyId="…",…`, as in the draft on signing HTTP messages. */
function authorization({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...(headers.authorization ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  )
}

function signedText(request: IncomingMessage, names: string): Buffer {
  const lines = names.split(' ').map((name) => {
    const target = `${request.method?.toLowerCase()} ${request.url}`
    return `${name}: ${name === '(request-target)' ? target : request.headers[name]}`
  })
  return Buffer.from(lines.join('\n'))
}
