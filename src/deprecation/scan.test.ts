import { describe, expect, it } from 'vitest'
import { INTERFACES } from './interfaces.ts'
import { scanFile } from './scan.ts'

const found = (path: string, text: string | Uint8Array) =>
  scanFile(path, Buffer.from(text)).map((finding) => `${finding.interface.id}:${finding.line ?? 'program'}`)

/** For each interface a use of it, and something close that is none. */
const EXAMPLES: Record<string, readonly [path: string, use: string, close: string]> = {
  'boot-loader-entries': ['usr/bin/tool', 'ls /run/boot-loader-entries/loader', 'ls /run/boot-loader-entriesx'],
  'sysupdated-bus': [
    'usr/bin/tool',
    'busctl call org.freedesktop.sysupdate1 /x',
    'busctl call org.freedesktop.sysupdate12',
  ],
  'sysupdate-in-path': ['a.sh', '/usr/bin/systemd-sysupdate list', '/usr/lib/systemd/systemd-sysupdate list'],
  'sysupdate-units': ['a.sh', 'systemctl enable systemd-sysupdate.timer', 'enable systemd-sysupdate-update.timer'],
  'factory-reset-variable': [
    'a.sh',
    'cat /sys/firmware/efi/efivars/FactoryReset-8cf2644b-4b0b-428f-9387-6d876050dc67',
    'FactoryResetRequest-8cf2644b-4b0b-428f-9387-6d876050dc67',
  ],
  'udev-control': ['a.c', 'connect("/run/udev/control")', '/run/udev/control.d'.replace('control.d', 'data')],
  'tmpfiles-argument': [
    'usr/lib/tmpfiles.d/a.conf',
    'd /var/lib/a 0755 root root - extra',
    'd /var/lib/a 0755 root root 10d -',
  ],
  'notify-reload': ['etc/systemd/system/a.service.d/b.conf', 'Type=notify-reload', 'Type=notify'],
  'nspawn-user': ['a.sh', 'systemd-nspawn -D /x --user root', 'systemd-nspawn -D /x --uid=root'],
  'proxy-ndp-address': ['etc/systemd/network/a.network', 'IPv6ProxyNDPAddress=::1', 'IPv6ProxyNDP=yes'],
  'dhcp-server-relay': ['etc/systemd/network/a.network', 'RelayTarget=192.0.2.1', 'RelayedTarget=x'],
  'tpm2-measure-bank': [
    'etc/crypttab',
    'root /dev/sda2 - tpm2-measure-bank=sha256',
    'root /dev/sda2 - tpm2-measure-pcr=yes',
  ],
}

describe('scanFile()', () => {
  it('has an example of each interface', () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(INTERFACES.map(({ id }) => id).sort())
  })

  it.each(Object.entries(EXAMPLES))(
    'finds %s, with its line, and nothing that is only close',
    (id, [path, use, close]) => {
      expect(found(path, `one\n  ${use}\n`)).toEqual([`${id}:2`])
      expect(found(path, `one\n${close}\n`)).toEqual([])
    },
  )

  it('passes over comments, and over files that cannot use it', () => {
    expect(found('a.sh', '# /run/boot-loader-entries was here\n')).toEqual([])
    expect(found('etc/a.conf', 'Type=notify-reload\n')).toEqual([])
    expect(found('usr/share/doc/tmpfiles.d.txt', 'd /a 0755 root root - extra\n')).toEqual([])
  })

  it('names what a program knows, once', () => {
    const program = Buffer.from('\x7fELF\0\0\0\0org.freedesktop.sysupdate1\0\x01/run/udev/control\0/run/udev/control\0')
    expect(found('usr/bin/program', program)).toEqual(['sysupdated-bus:program', 'udev-control:program'])
    expect(scanFile('usr/bin/program', program)[0]?.text).toBe('org.freedesktop.sysupdate1')
  })

  it('finds several on a line, and ends long ones', () => {
    const line = `updatectl; ls /run/boot-loader-entries; ${'x'.repeat(400)}`
    const findings = scanFile('a.sh', Buffer.from(line))
    expect(findings.map((one) => one.interface.id)).toEqual(['boot-loader-entries', 'sysupdated-bus'])
    expect(findings[0]?.text).toHaveLength(160)
  })
})
