/** Our own words for what systemd-imdsd takes. */
export const HELP = `systemd-imdsd [OPTION…] KEY

Reads metadata of the cloud instance that this system runs as. Started with a socket, it is
the Varlink service io.systemd.InstanceMetadata.

Options:
  -h --help                       This text
     --version                    The version
  -i --interface=NAME|NUMBER      Ask by this network interface; it is looked for without
     --refresh=SEC                How old an answer may be, and how long a token is to last
     --fwmark=NUMBER              Mark of the packets; "default", or empty for none
     --cache=BOOL                 Whether answers are remembered
     --wait=BOOL                  Whether to wait for a network interface
  -w                              --wait=yes
  -K --well-known=NAME            A field instead of a key, or in front of one
     --setup-network              Write what systemd-networkd and -resolved need
     --hardened-lock              There, lock the endpoint by the number of the broker's user
     --bug-compat=262             Do as systemd 262 does where that is a fault

Where the endpoint is:
     --vendor=NAME --data-url=URL --data-url-suffix=TEXT --extra-header='NAME: VALUE'
     --token-url=URL --token-header-name=NAME --refresh-header-name=NAME
     --address-ipv4=ADDRESS --address-ipv6=ADDRESS --well-known-key=NAME:KEY
`
