import { describe, expect, it } from 'vitest'
import { cloudNamed } from '../cloud/index.ts'
import { verifiedInstance } from './verified-instance.ts'

const MAC = '52:54:00:b0:07:01'

describe('verifiedInstance()', () => {
  it('asks for a credential that is another one each time', () => {
    const [first, second] = [verifiedInstance(cloudNamed('aws'), MAC), verifiedInstance(cloudNamed('aws'), MAC)]
    const [[name, value] = ['', '']] = Object.entries(first.credentials)
    expect(JSON.parse(Buffer.from(first.instance.userData ?? []).toString())).toEqual({
      'systemd.credentials': [{ name, text: value }],
    })
    expect(first.instance.interfaces[0].mac).toBe(MAC)
    expect(first.userData).toEqual(first.instance.userData)
    expect(second.credentials).not.toEqual(first.credentials)
  })

  it('puts user data where systemd looks for them, which is not always where the cloud has its own', () => {
    const { instance, userData, credentials } = verifiedInstance(cloudNamed('google'), MAC)
    expect(instance.userData).toBeUndefined()
    const [value] = Object.values(credentials)
    expect(Buffer.from(userData ?? []).toString()).toContain(value)
    expect(instance).toHaveProperty(['attributes', 'systemd-userdata'], Buffer.from(userData ?? []).toString())
  })

  it('has none where systemd does not look for any', () => {
    expect(verifiedInstance(cloudNamed('digitalocean'), MAC).userData).toBeUndefined()
  })
})
