import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, it } from 'vitest'
import { cloudNamed, clouds } from './clouds.ts'
import { hwdbModalias } from './smbios.ts'

describe('cloudNamed()', () => {
  it('finds a cloud by its name', () => {
    expect(cloudNamed('aws').title).toBe('Amazon EC2')
  })

  it.for(['AWS', '', 'constructor', 'nimbus'])('lists what there is when asked for %j', (name) => {
    expect(() => cloudNamed(name)).toThrow(
      expect.objectContaining({
        code: 'UNKNOWN_NAME',
        message: `There is no cloud "${name}"; there are: ${[...clouds.keys()].join(', ')}`,
      }),
    )
  })
})

describe.for([...clouds.values()])('$name', (cloud) => {
  it('keeps its name, its own instances and valid addresses', () => {
    expect(clouds.get(cloud.name)).toBe(cloud)
    expect(cloud.instance().cloud).toBe(cloud.name)
    for (const { ipv4, ipv6 } of cloud.endpoints) {
      expect(ipv4 === undefined || isIPv4(ipv4)).toBe(true)
      expect(ipv6 === undefined || isIPv6(ipv6)).toBe(true)
    }
  })

  it('presents an identity that its own hwdb record matches', () => {
    if (cloud.hwdb === undefined) return
    const pattern = cloud.hwdb.match.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
    expect(hwdbModalias(cloud.smbios(cloud.instance()))).toMatch(new RegExp(`^${pattern.join('.*')}$`))
  })
})
