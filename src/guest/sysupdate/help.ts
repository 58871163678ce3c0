/** Our own words for what we take of systemd-sysupdate(8). */
export const HELP = `systemd-sysupdate [OPTION…] [VERB]

Shows what versions of this system are installed and available, and installs them.

Verbs:
  list [VERSION]               All versions, or what one is made of (without a verb: list)
  check-new                    The version to update to; status 1 when there is none
  update [VERSION]             Acquire and install the newest version, or this one
  acquire [VERSION]            Acquire it, but do not install it yet
  vacuum                       Delete old versions
  pending                      Whether a newer version is installed than booted; status 1 when not
  features [FEATURE]           Optional features, or one of them
  components                   What is updated by itself

Options:
  -h --help                    This text
     --version                 The version
  -C --component=NAME          The component instead of the system
     --definitions=DIR         The only directory with definitions
     --root=PATH               The system below this directory
     --transfer-source=PATH    Where PathRelativeTo=explicit begins
  -m --instances-max=NUMBER    How many versions to keep, whatever the transfers say
     --sync=BOOL               Whether everything is on the disk before the next step
     --verify=BOOL             Whether manifests must be signed, whatever the transfers say
     --offline                 Do not ask what is available; update installs what is acquired
     --no-legend               No headings and no sums
     --json=pretty|short|off   JSON
     --bug-compat=262          Do as systemd 262 does where that is a fault
`
