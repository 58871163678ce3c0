import { ENDS_WITH_SYSTEM, UNIT_DIRECTORY, unit } from './unit.ts'

const ENDS_WITH_INITRD = [
  'Conflicts=shutdown.target initrd-switch-root.target',
  'Before=shutdown.target initrd-switch-root.target',
]

/**
 * The broker's units by path, with the names of systemd's own: one broker for all connections, started by its socket and gone when nobody
 * needs it. What its sandbox lacks is MemoryDenyWriteExecute=, which a compiler at run time cannot live with.
 */
export const IMDS_UNITS: Readonly<Record<string, string>> = {
  [`${UNIT_DIRECTORY}/systemd-imdsd.socket`]: unit({
    Unit: ['Description=Metadata of the Cloud Instance', 'DefaultDependencies=no', 'Before=sockets.target'],
    Socket: [
      'ListenStream=/run/systemd/io.systemd.InstanceMetadata',
      'Symlinks=/run/varlink/registry/io.systemd.InstanceMetadata',
      'FileDescriptorName=varlink',
      'SocketMode=0666',
      'RemoveOnStop=yes',
    ],
    Install: ['WantedBy=sockets.target'],
  }),
  [`${UNIT_DIRECTORY}/systemd-imdsd.service`]: unit({
    Unit: [
      'Description=Metadata of the Cloud Instance',
      'DefaultDependencies=no',
      'Requires=systemd-imdsd.socket',
      'After=systemd-imdsd.socket sys-devices-virtual-dmi-id.device',
      ...ENDS_WITH_INITRD,
    ],
    Service: [
      'ExecStart=/usr/lib/systemd/systemd-imdsd',
      'User=systemd-imds',
      'RuntimeDirectory=systemd/imds',
      'RuntimeDirectoryPreserve=yes',
      'AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE',
      'CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE',
      'LockPersonality=yes',
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'ProtectHome=yes',
      'RestrictSUIDSGID=yes',
      'ImportCredential=imds.*',
    ],
  }),
  [`${UNIT_DIRECTORY}/systemd-imds-early-network.service`]: unit({
    Unit: [
      'Description=Network for the Metadata of the Cloud Instance',
      'DefaultDependencies=no',
      'Wants=network-pre.target',
      'Before=network-pre.target',
      'After=sys-devices-virtual-dmi-id.device',
      ...ENDS_WITH_INITRD,
    ],
    Service: [
      'Type=oneshot',
      'RemainAfterExit=yes',
      // systemd's own lock also keeps the broker out where the kernel checks return paths, as systemd's sysctl.d has it.
      'ExecStart=/usr/lib/systemd/systemd-imdsd --setup-network --hardened-lock',
      'SuccessExitStatus=NOTCONFIGURED',
    ],
  }),
  [`${UNIT_DIRECTORY}/systemd-imds-import.service`]: unit({
    Unit: [
      'Description=Credentials of the Cloud Instance',
      'DefaultDependencies=no',
      'Wants=systemd-imdsd.socket network-online.target',
      'After=systemd-imdsd.socket network-online.target',
      'Before=sysinit.target systemd-firstboot.service',
      ...ENDS_WITH_SYSTEM,
    ],
    Service: [
      'Type=oneshot',
      'RemainAfterExit=yes',
      'ExecStart=/usr/lib/systemd/systemd-imds --import',
      'SuccessExitStatus=NOTCONFIGURED',
    ],
  }),
  [`${UNIT_DIRECTORY}/systemd-imds-metrics.socket`]: unit({
    Unit: ['Description=Metrics of the Cloud Instance', 'DefaultDependencies=no', 'Before=sockets.target'],
    Socket: [
      'ListenStream=/run/systemd/report/io.systemd.InstanceMetadata',
      'FileDescriptorName=varlink',
      'SocketMode=0666',
      'Accept=yes',
      'MaxConnectionsPerSource=16',
      'RemoveOnStop=yes',
    ],
  }),
  [`${UNIT_DIRECTORY}/systemd-imds-metrics@.service`]: unit({
    Unit: [
      'Description=Metrics of the Cloud Instance',
      'DefaultDependencies=no',
      'After=systemd-imdsd.socket',
      ...ENDS_WITH_INITRD,
    ],
    Service: ['ExecStart=/usr/lib/systemd/systemd-imds', 'LockPersonality=yes', 'NoNewPrivileges=yes'],
  }),
}

/** The broker's own user (sysusers.d(5)): locked, and without a number of its own. */
export const SYSUSERS: Readonly<Record<string, string>> = {
  'usr/lib/sysusers.d/systemd-imds.conf': 'u! systemd-imds - "Metadata of the cloud instance"\n',
}

/**
 * What systemd before 261 lacks: the units wait for a unit of the machine's identity, and some clouds are told by the
 * asset tag of its chassis.
 */
export const UDEV_RULES: Readonly<Record<string, string>> = {
  'usr/lib/udev/rules.d/70-bootwright-imds.rules': `ACTION=="remove", GOTO="imds_end"
SUBSYSTEM!="dmi", GOTO="imds_end"
KERNEL!="id", GOTO="imds_end"
ATTR{chassis_asset_tag}=="?*", IMPORT{builtin}="hwdb '$attr{modalias}cat$attr{chassis_asset_tag}:'"
TAG+="systemd"
LABEL="imds_end"
`,
}

/** Who may read metadata (polkit(8)). The broker's user owns the action: it may ask about others. */
export const POLKIT: Readonly<Record<string, string>> = {
  'usr/share/polkit-1/actions/io.systemd.imds.policy': `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
        "https://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig>
  <action id="io.systemd.imds.get">
    <description>Read metadata of the cloud instance</description>
    <message>To read metadata of the cloud instance, authenticate.</message>
    <defaults>
      <allow_any>auth_admin_keep</allow_any>
      <allow_inactive>auth_admin_keep</allow_inactive>
      <allow_active>auth_admin_keep</allow_active>
    </defaults>
    <annotate key="org.freedesktop.policykit.owner">unix-user:systemd-imds</annotate>
  </action>
</policyconfig>
`,
}
