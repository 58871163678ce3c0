/** Our own words for what systemd-imds(1) takes. */
export const HELP = `systemd-imds [OPTION…] [KEY]

Shows metadata of the cloud instance that this system runs as.

Options:
  -h --help                       This text
     --version                    The version
  -K --well-known=NAME            A field instead of a key, or in front of one; "help" lists them
     --refresh=SEC                How old an answer may be
     --cache=BOOL|auto            Whether answers are remembered
  -u --userdata                   The user data
     --import                     Import credentials from the user data to /run/credstore/
     --bug-compat=262             Do as systemd 262 does where that is a fault
`
