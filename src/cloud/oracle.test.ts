import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ask, type Question, signer } from './ask.test-support.ts'
import { oracle, oracleInstance } from './oracle.ts'

const BEARER = [['Authorization', 'Bearer Oracle']] as const
const instance = oracleInstance({ userData: Buffer.from('#!/bin/sh\n'), tags: { a: 'b' } })
const get = (path: string, question: Question = {}, of = instance) =>
  ask(oracle, path, of, { headers: BEARER, ...question })

describe('oracle', () => {
  it('needs the header, and no proxy', () => {
    expect(get('/opc/v2/instance/').status).toBe(200)
    expect(get('/opc/v2/instance/', { headers: [] }).status).toBe(401)
    expect(get('/opc/v2/instance/', { headers: [['authorization', 'Bearer oracle']] }).status).toBe(401)
    for (const name of ['Forwarded', 'x-forwarded-for', 'X-Forwarded-Host']) {
      expect(get('/opc/v2/instance/', { headers: [...BEARER, [name, 'x']] }).status, name).toBe(400)
    }
  })

  it('has the instance as JSON, with and without a slash, and its values as text', () => {
    const document = JSON.parse(get('/opc/v2/instance/').text)
    expect(document).toMatchObject({
      availabilityDomain: 'BTWR:EU-FRANKFURT-1-AD-1',
      freeformTags: { a: 'b' },
      metadata: { user_data: Buffer.from('#!/bin/sh\n').toString('base64') },
      timeCreated: instance.startedAtMs,
    })
    expect(JSON.parse(get('/opc/v2/instance').text)).toEqual(document)
    expect(get('/opc/v2/instance/hostname')).toMatchObject({ type: 'text/plain', text: 'bootwright' })
    expect(get('/opc/v2/instance/metadata/ssh_authorized_keys').text).toBe(instance.sshKeys[0]?.openssh)
    expect(get('/opc/v2/instance/freeformTags')).toMatchObject({ type: 'application/json' })
  })

  it('has its interfaces', () => {
    expect(JSON.parse(get('/opc/v2/vnics/').text)).toMatchObject([
      { privateIp: '172.31.16.10', subnetCidrBlock: '172.31.16.0/20', virtualRouterIp: '172.31.16.1' },
    ])
    expect(get('/opc/v2/vnics/0/macAddr').text).toBe('02:00:17:b0:07:01')
    expect(get('/opc/v2/vnics/1').status).toBe(404)
  })

  it('has an identity that its authority certified', () => {
    const leaf = new X509Certificate(get('/opc/v2/identity/cert.pem').text)
    const authority = new X509Certificate(get('/opc/v2/identity/intermediate.pem').text)
    expect(authority.raw).toEqual(Buffer.from(signer.authority.certificate))
    expect(leaf.verify(authority.publicKey)).toBe(true)
    expect(leaf.subject.split('\n')).toContain(`OU=opc-tenant:${instance.tenantId}`)
    expect(get('/opc/v2/identity/key.pem').text).toContain('PRIVATE KEY')
    expect(get('/opc/v2/identity/').status).toBe(404)
  })

  it('has its first version only where that is not disabled', () => {
    expect(get('/opc/v1/instance/', { headers: [] }).status).toBe(404)
    expect(get('/opc/v1/instance/', { headers: [] }, oracleInstance({ hasLegacyEndpoints: true })).status).toBe(200)
  })

  it("has user data where systemd's hwdb looks for them only when asked to", () => {
    expect(get('/opc/v2/metadata/user_data').status).toBe(404)
    expect(get('/opc/v2/metadata/user_data', { setting: { hasHwdbPaths: true } }).status).toBe(200)
    expect(get('/opc/v2/instance/metadata/user_data', {}, oracleInstance()).status).toBe(404)
  })

  it.for(['/', '/opc', '/opc/v2', '/opc/v3/instance/', '/opc/v2/instance/constructor', '/opc/v2/%zz'])(
    'has no %s',
    (path) => {
      expect(get(path).status).toBeGreaterThanOrEqual(400)
    },
  )

  it('refuses zones that are no availability domain', () => {
    expect(() => oracleInstance({ zone: 'AD-1' })).toThrow('an availability domain')
  })
})
