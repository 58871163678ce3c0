/** Our own words for what systemd-measure(1) takes. */
export const HELP = `systemd-measure [OPTION…] COMMAND …

Computes what PCR 11 will be for a unified kernel image, and signs policies for it.

Commands:
  [status]                       PCRs that a unified kernel image shapes, as they are now
  calculate                      What PCR 11 must be
  sign                           Policies for these values, signed, as JSON
  policy-digest                  The same, not signed yet

Options:
  -h --help                      This text
     --version                   The version
     --no-pager                  Accepted; there is no pager
  -c --current                   Go on from the value that PCR 11 has now
     --phase=PATH                Words that are measured while booting, with colons between
     --bank=DIGEST               One of sha1, sha256, sha384, sha512; may be repeated
     --tpm2-device=PATH          Accepted; nothing here needs the device
     --policyref=STRING          What the policy is for: becomes part of what is signed
     --private-key=PATH|URI      The key to sign with (PEM)
     --private-key-source=SOURCE file, provider:NAME or engine:NAME
     --public-key=PATH           Its public half (PEM), if not taken from the private key
     --certificate=PATH|URI      A certificate to take it from
     --certificate-source=SOURCE file or provider:NAME
     --json=FORMAT               pretty, short or off
  -j                             pretty on a terminal, else short
     --append=PATH               Signatures made before, to be kept in front of the new ones

Sections of the image, each a file:
     --linux= --osrel= --cmdline= --initrd= --ucode= --splash= --dtb= --dtbauto=
     --uname= --sbat= --pcrpkey= --profile= --hwids= --efifw=
`
