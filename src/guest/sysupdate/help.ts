/** Our own words for what we take of systemd-sysupdate(8). */
export const HELP = `systemd-sysupdate [OPTION…] [VERB]

Shows what versions of this system are installed and available, and installs them.

Verbs:
  list [VERSION]               All versions, or what one is made of (without a verb: list)
  check-new                    The version to update to; status 1 when there is none
  update [VERSION]             Acquire and install the newest version, or this one
  acquire [VERSION]            Acquire it, but do not install it yet
  vacuum                       Delete old versions
  cleanup                      Delete what was installed once and is owned by nobody any more
  pending                      Whether a newer version is installed than booted; status 1 when not
  reboot                       Reboot when a newer version is installed than booted
  features [FEATURE]           Optional features, or one of them
  enable-feature FEATURE...    Switch features on; disable-feature: off
  components                   What is updated by itself
  enable-component NAME...     Switch components on; disable-component: off

Options:
  -h --help                    This text
     --version                 The version
  -C --component=NAME          The component instead of the system
  -A --component-all           The system and all components
  -S --component-suggested     All components that are suggested
  -a --feature-all             All features
  -s --feature-suggested       All features that are suggested
     --definitions=DIR         The only directory with definitions
     --root=PATH               The system below this directory
     --image=FILE              The partitions of this disk, with --definitions=
     --transfer-source=PATH    Where PathRelativeTo=explicit begins
  -m --instances-max=NUMBER    How many versions to keep, whatever the transfers say
     --sync=BOOL               Whether everything is on the disk before the next step
     --verify=BOOL             Whether manifests must be signed, whatever the transfers say
     --offline                 Do not ask what is available; update installs what is acquired
     --cleanup=BOOL            Whether update also does what cleanup does
     --reboot                  Reboot after an update to a newer version
     --no-legend               No headings and no sums
     --json=pretty|short|off   JSON
     --bug-compat=262          Do as systemd 262 does where that is a fault
`
