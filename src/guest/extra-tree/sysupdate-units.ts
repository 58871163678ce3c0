import { ENDS_WITH_SYSTEM, UNIT_DIRECTORY, unit } from './unit.ts'

const PROGRAM = '/usr/lib/systemd/systemd-sysupdate'
const NOT_IN_CONTAINERS = 'ConditionVirtualization=!container'

/** systemd's own, but for MemoryDenyWriteExecute=, which a compiler at run time cannot live with. */
const SANDBOX = [
  'CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_LINUX_IMMUTABLE CAP_MKNOD CAP_SETFCAP CAP_SETPCAP CAP_SYS_ADMIN',
  'LockPersonality=yes',
  'NoNewPrivileges=yes',
  'ProtectHostname=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
  'RestrictNamespaces=net mnt',
  'RestrictRealtime=yes',
  'SystemCallArchitectures=native',
  'SystemCallErrorNumber=EPERM',
  'SystemCallFilter=@system-service @mount',
]

function timer(name: string, description: string, lines: readonly string[]): Record<string, string> {
  return {
    [`${UNIT_DIRECTORY}/${name}.timer`]: unit({
      Unit: [`Description=${description}`, NOT_IN_CONTAINERS],
      Timer: lines,
      Install: ['WantedBy=timers.target'],
    }),
  }
}

/** The units of systemd-sysupdate by path, with the names, times and commands of systemd's own (systemd-sysupdate(8)). */
export const SYSUPDATE_UNITS: Readonly<Record<string, string>> = {
  [`${UNIT_DIRECTORY}/systemd-sysupdate.socket`]: unit({
    Unit: ['Description=Updates of This System', 'DefaultDependencies=no', 'Before=sockets.target'],
    Socket: [
      'ListenStream=/run/systemd/io.systemd.SysUpdate',
      'Symlinks=/run/varlink/registry/io.systemd.SysUpdate',
      'FileDescriptorName=varlink',
      'SocketMode=0666',
      'Accept=yes',
      'MaxConnectionsPerSource=16',
    ],
    Install: ['WantedBy=sockets.target'],
  }),
  [`${UNIT_DIRECTORY}/systemd-sysupdate@.service`]: unit({
    Unit: ['Description=Updates of This System', 'DefaultDependencies=no', ...ENDS_WITH_SYSTEM],
    Service: [`ExecStart=-${PROGRAM}`, ...SANDBOX],
  }),
  [`${UNIT_DIRECTORY}/systemd-sysupdate-update.service`]: unit({
    Unit: [
      'Description=Update This System',
      'Wants=network-online.target',
      'After=network-online.target',
      NOT_IN_CONTAINERS,
    ],
    Service: [
      'Type=simple',
      'NotifyAccess=main',
      `ExecStart=${PROGRAM} update --component-all --cleanup=yes`,
      ...SANDBOX,
    ],
    Install: ['Also=systemd-sysupdate-update.timer'],
  }),
  ...timer('systemd-sysupdate-update', 'Update This System Now and Then', [
    'OnBootSec=15min',
    'OnUnitActiveSec=2h',
    'OnCalendar=Sat',
    'RandomizedDelaySec=4h',
    'Persistent=yes',
  ]),
  [`${UNIT_DIRECTORY}/systemd-sysupdate-auto-enable.service`]: unit({
    Unit: ['Description=Switch On What Suits This System', 'Before=systemd-sysupdate-update.service'],
    Service: [
      'Type=oneshot',
      `ExecStart=${PROGRAM} enable-component --component-suggested`,
      `ExecStart=${PROGRAM} enable-feature --component-all --feature-suggested`,
    ],
    Install: ['WantedBy=systemd-sysupdate-update.service'],
  }),
  [`${UNIT_DIRECTORY}/systemd-sysupdate-reboot.service`]: unit({
    Unit: ['Description=Reboot Into an Update', NOT_IN_CONTAINERS],
    Service: ['Type=oneshot', `ExecStart=${PROGRAM} reboot`],
    Install: ['Also=systemd-sysupdate-reboot.timer'],
  }),
  ...timer('systemd-sysupdate-reboot', 'Reboot Into an Update at Night', [
    'OnCalendar=4:10',
    'RandomizedDelaySec=30min',
  ]),
}

/** What starts the socket with the system: a link in `sockets.target.wants` would have the name of one of systemd-container's. */
export const SYSUPDATE_WANTED: Readonly<Record<string, string>> = {
  [`${UNIT_DIRECTORY}/sockets.target.d/10-bootwright-sysupdate.conf`]: unit({
    Unit: ['Wants=systemd-sysupdate.socket'],
  }),
}

/** By path, what it is a link to: their names before systemd 262, which are units of their own in trixie's systemd-container. */
export const SYSUPDATE_ALIASES: Readonly<Record<string, string>> = {
  [`${UNIT_DIRECTORY}/systemd-sysupdate.service`]: 'systemd-sysupdate-update.service',
  [`${UNIT_DIRECTORY}/systemd-sysupdate.timer`]: 'systemd-sysupdate-update.timer',
}
