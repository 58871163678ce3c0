import { describe, expect, it } from 'vitest'
import { networkFile } from './network-file.ts'

const [addressIPv4, addressIPv6] = ['192.0.2.1', '2001:db8::1']

describe('networkFile()', () => {
  it('locks by mark as systemd does', () => {
    const file = networkFile({ mode: 'locked', addressIPv4, addressIPv6: undefined })
    expect(file).toContain('[Route]\nDestination=192.0.2.1\nType=prohibit\n')
    expect(file).toContain('[RoutingPolicyRule]\nFamily=ipv4\nFirewallMark=0x7FFF0815\nTable=0x7FFF0815\n')
    expect(networkFile({ mode: 'unlocked', addressIPv4, addressIPv6: undefined })).not.toContain('prohibit')
  })

  it('locks by user without any mark: first lets the broker through, then nobody', () => {
    const file = networkFile({ mode: 'locked', addressIPv4, addressIPv6, brokerUid: 990 })
    const rules = [...file.matchAll(/\[RoutingPolicyRule\]\n((?:\w+=.*\n)+)/g)].map(([, lines = '']) =>
      lines.trim().split('\n'),
    )
    expect(rules).toEqual([
      ['To=192.0.2.1/32', 'User=990', 'Table=main', 'Priority=30000'],
      ['To=192.0.2.1/32', 'User=1-4294967294', 'Type=prohibit', 'Priority=30001'],
      ['To=2001:db8::1/128', 'User=990', 'Table=main', 'Priority=30000'],
      ['To=2001:db8::1/128', 'User=1-4294967294', 'Type=prohibit', 'Priority=30001'],
    ])
    expect(file).not.toMatch(/FirewallMark|\[Route\]/)
  })

  it('is not hardened where nothing is locked', () => {
    expect(networkFile({ mode: 'unlocked', addressIPv4, addressIPv6, brokerUid: 990 })).not.toContain('prohibit')
  })
})
