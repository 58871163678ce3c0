import { type Check, failed, passed } from '../check.ts'

export const tpmPresent: Check = {
  id: 'tpm-present',
  title: 'The TPM is there, with the banks it was given',
  async run({ machine, guest }) {
    const { tpm } = machine.spec
    const isThere = await guest.hasTpm()
    if (tpm === 'absent') {
      if (!isThere) return passed('no TPM, as asked')
      return failed({ expected: 'no TPM', found: '/sys/class/tpm/tpm0' })
    }
    if (!isThere) {
      return failed({
        expected: 'a TPM 2.0 at /sys/class/tpm/tpm0',
        found: 'none',
        hint: 'The kernel needs the drivers tpm_crb and tpm_tis, built in or in the initrd.',
      })
    }
    const { stdout } = await machine.run(['cat', '/sys/class/tpm/tpm0/tpm_version_major'])
    const banks = [...(await guest.pcrs()).keys()].sort().join(', ')
    const expected = [...tpm.banks].sort().join(', ')
    if (stdout.trim() !== '2') return failed({ expected: 'TPM 2.0', found: `TPM ${stdout.trim()}` })
    if (banks !== expected) return failed({ expected: `banks ${expected}`, found: `banks ${banks}` })
    return passed(`TPM 2.0 with ${banks}`)
  },
}
