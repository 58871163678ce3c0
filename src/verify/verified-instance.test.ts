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
    expect(second.credentials).not.toEqual(first.credentials)
  })
})
