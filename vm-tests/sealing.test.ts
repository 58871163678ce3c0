import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path/posix'
import { describe } from 'vitest'
import type { MachineSpec, RunningMachine } from '../src/machine/index.ts'
import {
  type PredictedEvent,
  pcrlockFilesOfAll,
  pcrSignatures,
  predictPcrs,
  type ReferenceValues,
  referenceValues,
} from '../src/measure/index.ts'
import { expect, test } from '../src/testing/vitest.ts'
import { AlteredDisk } from './support/altered-disk.ts'
import { type Predict, predictorFor } from './support/measured.ts'

const UKI = 'EFI/BOOT/BOOTX64.EFI'
const DISK = '/dev/disk/by-id/virtio-data'
const KEY = '/run/key'
const SIGNATURES = '/run/signatures.json'
const PUBLIC_KEY = '/run/public.pem'
const POLICY = '/var/lib/systemd/pcrlock.json'
const COMPONENTS = '/run/bootwright-components'
/** The image, and the sections of its UKI: what an update changes. */
const PCRS = [4, 11]
const OPTIONS = { from: 'cold', disks: [{ name: 'data', sizeMiB: 32 }] } as const
const EXPECTED_UPDATE = ['.osrel']
const OTHER_UPDATE = ['.osrel', '.uname']
/** What systemd says when a policy is the reason. */
const REFUSED = /polic|signature/i

type Guest = Pick<RunningMachine, 'run' | 'runUnchecked' | 'writeFile'>
type Booting = Guest & Pick<RunningMachine, 'reboot' | 'booted' | 'tpm'>

/** Updates of the image of a machine, in place: each has another byte in some sections of the UKI. */
class Updates implements AsyncDisposable {
  readonly #disk: AlteredDisk
  readonly #spec: MachineSpec
  readonly #predict: Predict

  private constructor(disk: AlteredDisk, spec: MachineSpec, predict: Predict) {
    this.#disk = disk
    this.#spec = spec
    this.#predict = predict
  }

  static async of(spec: MachineSpec): Promise<Updates> {
    return new Updates(await AlteredDisk.copyOf(spec.image), spec, await predictorFor(spec))
  }

  /** What the machine measures once it has booted with it. */
  async predict(sections: readonly string[]): Promise<readonly PredictedEvent[]> {
    const places = sections.map((section) => this.#disk.place(UKI, section))
    for (const place of places) this.#disk.flip(place)
    const events = await this.#predict({ ...this.#spec, image: { ...this.#spec.image, diskPath: this.#disk.path } })
    for (const place of places) this.#disk.flip(place)
    return events
  }

  async install(machine: Guest, sections: readonly string[]): Promise<void> {
    for (const section of sections) {
      const place = this.#disk.place(UKI, section)
      const byte = (this.#byteAt(place) ^ 1).toString(8).padStart(3, '0')
      const write = `printf '\\${byte}' | dd of=/dev/vda bs=1 seek=${place} conv=notrunc,fsync status=none`
      await machine.run(['sh', '-ec', write])
    }
  }

  #byteAt(place: number): number {
    const file = openSync(this.#spec.image.diskPath, 'r')
    try {
      const byte = Buffer.alloc(1)
      readSync(file, byte, 0, 1, place)
      return byte.readUInt8()
    } finally {
      closeSync(file)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#disk[Symbol.asyncDispose]()
  }
}

function reference(events: readonly PredictedEvent[]): ReferenceValues {
  return referenceValues(events, ['sha256'], PCRS)
}

/** Whether what these events lead to is among what was foreseen. */
function isForeseen(foreseen: readonly ReferenceValues[], events: readonly PredictedEvent[]): boolean {
  const wanted = predictPcrs(events, ['sha256']).get('sha256')
  return foreseen.some(({ values }) =>
    PCRS.every((pcr) => JSON.stringify(values.get('sha256')?.get(pcr)) === JSON.stringify(wanted?.get(pcr))),
  )
}

/** Boots the update; the machine measures it as predicted. */
async function update(machine: Booting, updates: Updates, sections: readonly string[]): Promise<void> {
  await updates.install(machine, sections)
  await machine.reboot()
  await machine.booted()
  const actual = await machine.tpm.readPcrs()
  const predicted = predictPcrs(await updates.predict(sections), ['sha256']).get('sha256')
  for (const pcr of PCRS) expect(predicted?.get(pcr)).toEqual({ kind: 'known', values: [actual.get(pcr)] })
}

async function format(machine: Guest): Promise<void> {
  await machine.writeFile(KEY, 'a passphrase for the making only')
  const quick = ['--pbkdf=pbkdf2', '--pbkdf-force-iterations=1000']
  await machine.run(['cryptsetup', 'luksFormat', '--batch-mode', ...quick, DISK, KEY])
}

async function enroll(machine: Guest, ...options: readonly string[]): Promise<void> {
  const tpm = ['--tpm2-device=auto', '--tpm2-pcrs=', ...options]
  await machine.run(['systemd-cryptenroll', `--unlock-key-file=${KEY}`, ...tpm, DISK])
}

/** Has the TPM open the disk, and closes it; resolves with why it did not open. */
async function refusal(machine: Guest, option: string): Promise<string | undefined> {
  const options = `tpm2-device=auto,${option},headless=1`
  const { exitCode, stderr } = await machine.runUnchecked(['systemd-cryptsetup', 'attach', 'data', DISK, '-', options])
  if (exitCode !== 0) return stderr.toString()
  await machine.run(['test', '-b', '/dev/mapper/data'])
  await machine.run(['systemd-cryptsetup', 'detach', 'data'])
  return undefined
}

/** Three boots of a large image each: part of `./bootwright test --all`. */
describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')('a sealed disk', () => {
  test('opens under a signed policy after an update that was signed, and not after another', async ({ boot }) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    await using machine = await boot('upstream', OPTIONS)
    await using updates = await Updates.of(machine.spec)
    const now = reference(await updates.predict([]))
    const next = reference(await updates.predict(EXPECTED_UPDATE))
    const withSignatures = `tpm2-signature=${SIGNATURES}`
    await sign(machine, privateKey, [now])
    await machine.writeFile(PUBLIC_KEY, publicKey.export({ type: 'spki', format: 'pem' }))
    await format(machine)
    const pcrs = `--tpm2-public-key-pcrs=${PCRS.join('+')}`
    await enroll(machine, `--tpm2-public-key=${PUBLIC_KEY}`, pcrs, `--tpm2-signature=${SIGNATURES}`, '--tpm2-pcrlock=')
    expect(await refusal(machine, withSignatures)).toBeUndefined()

    expect(isForeseen([now, next], await updates.predict(EXPECTED_UPDATE))).toBe(true)
    await update(machine, updates, EXPECTED_UPDATE)
    await sign(machine, privateKey, [now])
    expect(await refusal(machine, withSignatures)).toMatch(REFUSED)
    await sign(machine, privateKey, [now, next])
    expect(await refusal(machine, withSignatures)).toBeUndefined()

    expect(isForeseen([now, next], await updates.predict(OTHER_UPDATE))).toBe(false)
    await update(machine, updates, OTHER_UPDATE)
    await sign(machine, privateKey, [now, next])
    expect(await refusal(machine, withSignatures)).toMatch(REFUSED)
    // There was no other reason.
    await sign(machine, privateKey, [now, next, reference(await updates.predict(OTHER_UPDATE))])
    expect(await refusal(machine, withSignatures)).toBeUndefined()
  })

  test('opens under pcrlock after an update that is in its components, and not after another', async ({ boot }) => {
    await using machine = await boot('upstream', OPTIONS)
    await using updates = await Updates.of(machine.spec)
    const foreseen = [reference(await updates.predict([])), reference(await updates.predict(EXPECTED_UPDATE))]
    const withPolicy = `tpm2-pcrlock=${POLICY}`
    for (const { path, content } of pcrlockFilesOfAll(foreseen)) {
      await machine.run(['mkdir', '-p', dirname(`${COMPONENTS}/${path}`)])
      await machine.writeFile(`${COMPONENTS}/${path}`, content)
    }
    const policy = [`--components=${COMPONENTS}`, `--pcr=${PCRS.join('+')}`, `--policy=${POLICY}`]
    const { stderr } = await machine.run(['/usr/lib/systemd/systemd-pcrlock', 'make-policy', ...policy])
    expect(stderr).not.toMatch(/not (in|including)|[Rr]emoving|dropp/)
    await format(machine)
    await enroll(machine, '--tpm2-public-key=', `--tpm2-pcrlock=${POLICY}`)
    expect(await refusal(machine, withPolicy)).toBeUndefined()

    expect(isForeseen(foreseen, await updates.predict(EXPECTED_UPDATE))).toBe(true)
    await update(machine, updates, EXPECTED_UPDATE)
    expect(await refusal(machine, withPolicy)).toBeUndefined()

    expect(isForeseen(foreseen, await updates.predict(OTHER_UPDATE))).toBe(false)
    await update(machine, updates, OTHER_UPDATE)
    expect(await refusal(machine, withPolicy)).toMatch(REFUSED)
  })
})

/** The policy of each of them, signed. */
async function sign(machine: Guest, key: KeyObject, references: readonly ReferenceValues[]): Promise<void> {
  const sha256 = references.flatMap((one) => pcrSignatures(one, key).sha256 ?? [])
  await machine.writeFile(SIGNATURES, JSON.stringify({ sha256 }))
}
