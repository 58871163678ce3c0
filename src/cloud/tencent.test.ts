import { describe, expect, it } from 'vitest'
import { ask, type Question, START } from './ask.test-support.ts'
import { tencent, tencentInstance } from './tencent.ts'

const instance = tencentInstance({ userData: Buffer.from([0xff]) })
const get = (path: string, question: Question = {}, of = instance) => ask(tencent, path, of, question)

describe('tencent', () => {
  it.for([
    ['hostname', 'bootwright'],
    ['placement/region', 'eu-frankfurt'],
    ['placement/zone', 'eu-frankfurt-1'],
    ['public-ipv4', '203.0.113.10'],
    ['public-keys/0/openssh-key', instance.sshKeys[0]?.openssh],
    ['network/interfaces/macs/52:54:00:b0:07:01/local-ipv4s/172.31.16.10/subnet-mask', '255.255.240.0'],
    ['payment/create-time', '2026-01-01 00:00:00'],
    ['placement', 'region\nzone'],
  ] as const)('has %s', ([name, text]) => {
    expect(get(`/latest/meta-data/${name}`)).toMatchObject({ status: 200, text })
  })

  it("has the same at the root, where systemd's hwdb looks for it, only when asked to", () => {
    for (const path of ['/meta-data/hostname', '/user-data']) {
      expect(get(path).status, path).toBe(404)
      expect(get(path, { setting: { hasHwdbPaths: true } }).status, path).toBe(200)
    }
  })

  it('has credentials that say what they are', () => {
    const path = '/latest/meta-data/cam/security-credentials/bootwright-fake-role'
    expect(JSON.parse(get(path).text)).toMatchObject({
      Code: 'Success',
      TmpSecretId: expect.stringContaining('fake'),
      Expiration: '2026-05-05T12:00:00Z',
    })
    expect(get('/latest/meta-data/cam/', {}, tencentInstance({ role: undefined })).status).toBe(404)
  })

  it('has a notice only before the machine is taken back', () => {
    const path = '/latest/meta-data/spot/termination-time'
    expect(get(path).status).toBe(404)
    expect(get(path, {}, tencentInstance({ spotTerminationAtMs: START })).text).toBe('2026-05-05 06:07:08')
  })

  it('is found by its name', () => {
    expect(tencent.dnsNames).toEqual(['metadata.tencentyun.com'])
    expect(tencent.hwdb).not.toHaveProperty('addressIpv4')
  })

  it('answers GET only', () => {
    expect(get('/latest/meta-data/', { method: 'PUT' }).status).toBe(405)
    expect(get('/latest/%').status).toBe(400)
  })
})
