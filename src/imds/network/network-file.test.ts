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

  it('locks by user without any mark: forwards nothing, lets the broker through, then nobody', () => {
    const file = networkFile({ mode: 'locked', addressIPv4, addressIPv6, brokerUid: 990 })
    const rules = [...file.matchAll(/\[RoutingPolicyRule\]\n((?:\w+=.*\n)+)/g)].map(([, lines = '']) =>
      lines.trim().split('\n'),
    )
    const forwarded = (family: string) => [
      `Family=${family}`,
      'IncomingInterface=lo',
      'InvertRule=yes',
      'Table=0x7FFF0815',
      'Priority=29999',
    ]
    expect(rules).toEqual([
      forwarded('ipv4'),
      ['To=192.0.2.1/32', 'User=990', 'Table=main', 'Priority=30000'],
      ['To=192.0.2.1/32', 'User=1-4294967294', 'Type=prohibit', 'Priority=30001'],
      forwarded('ipv6'),
      ['To=2001:db8::1/128', 'User=990', 'Table=main', 'Priority=30000'],
      ['To=2001:db8::1/128', 'User=1-4294967294', 'Type=prohibit', 'Priority=30001'],
    ])
    expect(file).not.toContain('FirewallMark')
    const routes = [...file.matchAll(/\[Route\]\n((?:\w+=.*\n)+)/g)].map(([, lines]) => lines)
    expect(routes).toEqual(
      [addressIPv4, addressIPv6].map((to) => `Destination=${to}\nType=prohibit\nTable=0x7FFF0815\n`),
    )
  })

  it('is not hardened where nothing is locked', () => {
    expect(networkFile({ mode: 'unlocked', addressIPv4, addressIPv6, brokerUid: 990 })).not.toContain('prohibit')
  })
})
