import { describe, it } from 'vitest'
import { cloudNamed, Transcript } from '../../cloud/index.ts'
import { FIRMWARE_LOG, type SceneCloud, USERSPACE_LOG } from '../../scene/index.ts'
import { BootwrightError } from '../../system/index.ts'
import { expect } from '../expect.ts'
import { scriptedGuest } from '../guest.test-support.ts'
import { reaches } from './metadata.ts'

const FAILED = 'systemctl list-units --all --failed --plain --no-legend --no-pager'
const STATUS = 'systemctl status --no-pager --full --lines=5 -- broken.service'
const PCRS = 'sh -c cd /sys/class/tpm/tpm0 && grep . pcr-*/*'
const degraded = {
  [FAILED]: 'broken.service loaded failed failed A broken one\n',
  [STATUS]: [3, 'x broken.service - A broken one\n     Active: failed (Result: exit-code)\n'] as const,
}
const now = { withinMs: 0 }

/** The message of an assertion that does not hold. */
async function messageOf(assertion: () => unknown): Promise<string> {
  try {
    await assertion()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('the assertion held')
}

describe('toBeRunning()', () => {
  it('holds for a system that is content', async () => {
    await expect(scriptedGuest({})).toBeRunning()
  })

  it('shows the units that keep it from that', async () => {
    const guest = scriptedGuest(degraded, { boots: 'degraded' })
    expect(await messageOf(() => expect(guest).toBeRunning())).toMatchInlineSnapshot(`
      "Expected the system to be running, found it degraded
          x broken.service - A broken one
               Active: failed (Result: exit-code)"
    `)
    await expect(guest).not.toBeRunning()
  })

  it('tells why it did not boot', async () => {
    const boots = new BootwrightError('GUEST_PANIC', 'The kernel of machine "m" panicked: no root')
    expect(await messageOf(() => expect(scriptedGuest({}, { boots })).toBeRunning())).toMatchInlineSnapshot(
      `"Expected machine to be running, but it did not boot: The kernel of machine "m" panicked: no root"`,
    )
  })

  it('leaves an error of the host what it is', async () => {
    const boots = new BootwrightError('HELPER_EXITED', 'QEMU ended')
    await expect(expect(scriptedGuest({}, { boots })).toBeRunning()).rejects.toMatchObject({ code: 'HELPER_EXITED' })
  })

  it('wants a machine', async () => {
    expect(await messageOf(() => expect('minimal').toBeRunning())).toMatchInlineSnapshot(
      `"Expected a machine, found string"`,
    )
  })
})

describe('toHaveFailedUnits()', () => {
  it('holds for just these', async () => {
    await expect(scriptedGuest({ [FAILED]: '' })).toHaveFailedUnits([])
    await expect(scriptedGuest(degraded)).toHaveFailedUnits(['broken.service'])
  })

  it('shows what the others say', async () => {
    const guest = scriptedGuest(degraded)
    expect(await messageOf(() => expect(guest).toHaveFailedUnits(['other.service'], now))).toMatchInlineSnapshot(`
      "Expected other units to have failed
        expected  other.service
        found     broken.service
          x broken.service - A broken one
               Active: failed (Result: exit-code)"
    `)
  })
})

describe('toPrint()', () => {
  it('compares up to the last newline, text or bytes', () => {
    expect({ stdout: 'web-1\n' }).toPrint('web-1')
    expect({ stdout: Buffer.from('web-1\n') }).toPrint(/^web-\d$/)
    expect({ stdout: 'web-12' }).not.toPrint('web-1')
  })

  it('shows both, and what was said besides', async () => {
    const output = { stdout: 'web-2\n', stderr: 'a warning\n' }
    expect(await messageOf(() => expect(output).toPrint('web-1'))).toMatchInlineSnapshot(`
      "Expected the command to print something else
        expected  "web-1"
        found     "web-2"
        and on standard error: "a warning""
    `)
    expect(await messageOf(() => expect(output).not.toPrint(/web/))).toMatchInlineSnapshot(
      `"Expected the command not to print /web/, but it printed "web-2""`,
    )
  })

  it('sees a forgotten await', async () => {
    expect(await messageOf(() => expect(Promise.resolve(1)).toPrint('x'))).toMatchInlineSnapshot(
      `"Expected the output of a command, found a promise: is there an await missing?"`,
    )
  })
})

const ZEROS = '0'.repeat(64)
const ONES = 'f'.repeat(64)
const pcrs = { [PCRS]: `pcr-sha256/11:${ONES.toUpperCase()}\npcr-sha256/12:${ZEROS}\n` }

describe('toHavePcr()', () => {
  it('holds in any case of letters', async () => {
    await expect(scriptedGuest(pcrs)).toHavePcr(11, ONES.toUpperCase())
    await expect(scriptedGuest(pcrs)).not.toHavePcr(11, ZEROS, now)
  })

  it('shows both values, and names a bank that is not there', async () => {
    expect(await messageOf(() => expect(scriptedGuest(pcrs)).toHavePcr(11, ZEROS, now))).toMatchInlineSnapshot(`
      "Expected PCR 11 of bank sha256 to have another value
        expected  0000000000000000000000000000000000000000000000000000000000000000
        found     ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    `)
    const sha1 = { ...now, bank: 'sha1' } as const
    expect(await messageOf(() => expect(scriptedGuest(pcrs)).toHavePcr(11, ZEROS, sha1))).toMatchInlineSnapshot(`
      "Expected PCR 11 of bank sha1 to have another value
        expected  0000000000000000000000000000000000000000000000000000000000000000
        found     no such bank; there are: sha256"
    `)
  })

  it('says that there is no TPM', async () => {
    const guest = scriptedGuest({}, { spec: { tpm: 'absent' } })
    expect(await messageOf(() => expect(guest).toHavePcr(11, ZEROS, now))).toMatchInlineSnapshot(
      `"Machine "scripted" has no TPM to read PCRs from: it was made without one"`,
    )
  })
})

describe('toMeasureAsPredicted()', () => {
  it('never holds where there is nothing to compare with', async () => {
    const guest = scriptedGuest({ ...pcrs, [`cat -- ${USERSPACE_LOG}`]: '' })
    expect(await messageOf(() => expect(guest).toMeasureAsPredicted(now))).toMatchInlineSnapshot(`
      "Expected the machine to measure as predicted
        the kernel has no event log of the firmware"
    `)
  })

  it('rejects a log that is none', async () => {
    const guest = scriptedGuest({ ...pcrs, [`cat -- ${FIRMWARE_LOG}`]: 'garbage' })
    await expect(expect(guest).toMeasureAsPredicted(now)).rejects.toMatchObject({ code: 'MALFORMED_INPUT' })
  })
})

describe('toRefuseBoot()', () => {
  const refused = new BootwrightError(
    'BOOT_REFUSED',
    'The firmware of machine "m" did not start the image: BdsDxe: No bootable option or device was found.\nmore',
  )
  const console = ['BdsDxe: failed to load Boot0001 "disk" from PciRoot(0x0): Not Found', 'BdsDxe: No bootable option']

  it('holds for who refused, and why', async () => {
    const guest = scriptedGuest({}, { boots: refused, console })
    await expect(guest).toRefuseBoot()
    await expect(guest).toRefuseBoot({ by: 'firmware', because: 'no-loader' })
    await expect(guest).toRefuseBoot({ by: 'firmware', because: /Boot0001/ })
    await expect(guest).not.toRefuseBoot({ because: 'verity' })
    await expect(scriptedGuest({})).not.toRefuseBoot()
  })

  it('needs no channel to know', async () => {
    const guest = scriptedGuest({}, { failure: refused, spec: { channel: false } })
    await expect(guest).toRefuseBoot({ by: 'firmware' })
  })

  it('tells who it was instead, and that nothing speaks of the reason', async () => {
    const guest = scriptedGuest({}, { boots: refused, console })
    expect(await messageOf(() => expect(guest).toRefuseBoot({ by: 'kernel' }))).toMatchInlineSnapshot(`
      "Expected the boot to be refused by the kernel
        found instead  the firmware: The firmware of machine "m" did not start the image: BdsDxe: No bootable option or device was found."
    `)
    expect(await messageOf(() => expect(guest).toRefuseBoot({ because: 'secure-boot' }))).toMatchInlineSnapshot(`
      "Expected the boot to be refused by somebody because of secure-boot
        it was refused by  the firmware: The firmware of machine "m" did not start the image: BdsDxe: No bootable option or device was found.
        and nothing on the console speaks of secure-boot"
    `)
  })

  it('tells that the system booted, or does nothing at all', async () => {
    expect(await messageOf(() => expect(scriptedGuest({})).toRefuseBoot({ by: 'firmware' }))).toMatchInlineSnapshot(
      `"Expected the boot to be refused by the firmware, but the system booted: it is running"`,
    )
    const silent = scriptedGuest({}, { spec: { channel: false } })
    expect(await messageOf(() => expect(silent).toRefuseBoot({}, { idleMs: 1 }))).toMatchInlineSnapshot(`
      "Expected the boot to be refused by somebody
        found instead  BOOT_STALLED: Its console has said nothing more for 0 s"
    `)
  })
})

describe('toReachMetadata()', () => {
  it('says that there is no cloud', async () => {
    expect(await messageOf(() => expect(scriptedGuest({})).toReachMetadata())).toMatchInlineSnapshot(
      `"Expected the guest to reach its metadata service, but it was started in no cloud"`,
    )
  })

  it('tells what both sides saw', async () => {
    const cloud = { provider: cloudNamed('aws'), service: { transcript: new Transcript() } } as unknown as SceneCloud
    const complaint = Buffer.from('bash: connect: No route to host\nbash: /dev/tcp/…: No route to host\n')
    const runUnchecked = async () => ({ exitCode: 1, stdout: Buffer.alloc(0), stderr: complaint })
    const { message, pass } = await reaches({ ...scriptedGuest({}), runUnchecked }, cloud, 0)
    expect(pass).toBe(false)
    expect(message()).toMatchInlineSnapshot(`
      "Expected the guest to reach the metadata service of Amazon EC2 at 169.254.169.254 port 80
        in the guest    bash: /dev/tcp/…: No route to host
        at the service  no request arrived"
    `)
  })

  it('does not believe an answer that no service gave', async () => {
    const cloud = { provider: cloudNamed('aws'), service: { transcript: new Transcript() } } as unknown as SceneCloud
    const runUnchecked = async () => ({ exitCode: 0, stdout: Buffer.from('web-1'), stderr: Buffer.alloc(0) })
    expect((await reaches({ ...scriptedGuest({}), runUnchecked }, cloud, 0)).pass).toBe(false)
  })
})

describe('toBeUpdatedTo()', () => {
  const release = (text: string) => scriptedGuest({ 'cat /etc/os-release': text })

  it('reads os-release as a shell would', async () => {
    await expect(release('ID=debian\nIMAGE_VERSION=2\n')).toBeUpdatedTo('2')
    await expect(release('IMAGE_VERSION="2.1"\n')).toBeUpdatedTo('2.1')
    await expect(release('IMAGE_VERSION=2\n')).not.toBeUpdatedTo('1', now)
  })

  it('shows the version that runs', async () => {
    expect(await messageOf(() => expect(release('IMAGE_VERSION=1\n')).toBeUpdatedTo('2', now))).toMatchInlineSnapshot(`
      "Expected the system to be updated
        expected  IMAGE_VERSION=2
        found     IMAGE_VERSION=1"
    `)
    expect(await messageOf(() => expect(release('ID=debian\n')).toBeUpdatedTo('2', now))).toMatchInlineSnapshot(`
      "Expected the system to be updated
        expected  IMAGE_VERSION=2
        found     an os-release without IMAGE_VERSION="
    `)
  })
})
