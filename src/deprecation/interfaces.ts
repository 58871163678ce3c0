/** An interface that the news of systemd 261 or 262 announce for removal, have renamed, or no longer take. */
export interface DeprecatedInterface {
  /** Stable, for CI rules: `boot-loader-entries`. */
  readonly id: string
  /** What becomes of it, and when. */
  readonly fate: string
  /** What to do about it. */
  readonly instead: string
  /** Which files can use it; any without. The path is relative to the root of the image. */
  readonly files?: RegExp
  /** What a line that uses it contains. A byte string of a program is looked at as a line. */
  readonly pattern: RegExp
}

/** Unit files and their drop-ins, wherever they lie. */
const UNITS = /\.(?:service|socket|timer|path|target|mount|automount)(?:\.d\/[^/]+\.conf)?$/
const NETWORK = /\.network(?:\.d\/[^/]+\.conf)?$/
const TMPFILES = /(?:^|\/)tmpfiles\.d\/[^/]+\.conf$/
const CRYPTTAB = /(?:^|\/)crypttab$/

export const INTERFACES: readonly DeprecatedInterface[] = [
  {
    id: 'boot-loader-entries',
    fate: 'is still honoured by 262; its removal is announced for 263',
    instead: 'Put entries on the boot partition (bootctl link, kernel-install).',
    pattern: /\/run\/boot-loader-entries\b/,
  },
  {
    id: 'sysupdated-bus',
    fate: 'the D-Bus API of systemd-sysupdated is announced to go with 263; distributions do not all ship it',
    instead: 'Call io.systemd.SysUpdate over Varlink, or systemd-sysupdate.',
    pattern: /\borg\.freedesktop\.sysupdate1\b|\bupdatectl\b|\bsystemd-sysupdated\b/,
  },
  {
    id: 'sysupdate-in-path',
    fate: 'was moved back to /usr/lib/systemd in 262, where it is experimental again',
    instead: 'Call /usr/lib/systemd/systemd-sysupdate.',
    pattern: /\/usr\/bin\/systemd-sysupdate\b/,
  },
  {
    id: 'sysupdate-units',
    fate: 'were renamed in 262; the old names are links',
    instead: 'Use systemd-sysupdate-update.service and systemd-sysupdate-update.timer.',
    pattern: /\bsystemd-sysupdate\.timer\b/,
  },
  {
    id: 'factory-reset-variable',
    fate: 'the EFI variable FactoryReset is ignored by systemd-repart in the initrd since 262',
    instead: 'Set FactoryResetRequest (systemd-factory-reset request).',
    pattern: /\bFactoryReset-8cf2644b-4b0b-428f-9387-6d876050dc67\b/i,
  },
  {
    id: 'udev-control',
    fate: 'the control socket of udev is only a link to its Varlink socket since 262',
    instead: 'Use udevadm control, or io.systemd.Udev over Varlink.',
    pattern: /\/run\/udev\/control\b/,
  },
  {
    id: 'tmpfiles-argument',
    fate: 'a line of tmpfiles.d with an argument that its type does not take is refused since 262',
    instead: 'Leave the seventh field out.',
    files: TMPFILES,
    // tmpfiles.d(5): type, path, mode, user, group, age, argument.
    pattern: /^\s*[dDevqQpxXrRzZ][+!\-=~^$]*(?:\s+(?:"[^"]*"|\S+)){5}\s+(?!-?\s*$)\S/,
  },
  {
    id: 'notify-reload',
    fate: 'Type=notify-reload fails to start since 262 where ReloadSignal= is not caught when the service says READY=1',
    instead: 'See that the service installs its handler first.',
    files: UNITS,
    pattern: /^\s*Type\s*=\s*notify-reload\b/,
  },
  {
    id: 'nspawn-user',
    fate: '--user= of systemd-nspawn was renamed in 261',
    instead: 'Use --uid=.',
    pattern: /\bsystemd-nspawn\b.*\s--user\b/,
  },
  {
    id: 'proxy-ndp-address',
    fate: 'IPv6ProxyNDPAddress= has a successor since 262',
    instead: 'Use ProxyNeighbor=.',
    files: NETWORK,
    pattern: /^\s*IPv6ProxyNDPAddress\s*=/,
  },
  {
    id: 'dhcp-server-relay',
    fate: 'the relay settings of [DHCPServer] are deprecated since 261',
    instead: 'Use a [DHCPRelay] section.',
    files: NETWORK,
    pattern: /^\s*Relay(?:Target|AgentCircuitId|AgentRemoteId)\s*=/,
  },
  {
    id: 'tpm2-measure-bank',
    fate: 'the crypttab option tpm2-measure-bank= does nothing since 262',
    instead: 'Remove it: the banks are chosen by themselves.',
    files: CRYPTTAB,
    pattern: /\btpm2-measure-bank=/,
  },
]
