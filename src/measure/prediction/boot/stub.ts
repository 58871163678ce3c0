import { efiText, newcArchive, parsePe, type SmbiosIdentity, smbiosIdentity, utf16z } from '../../../formats/index.ts'
import { EV_IPL } from '../../event-types.ts'
import { chosenByHardware, knownHardware } from '../../hardware-choice.ts'
import type { HashAlgorithm } from '../../hash-algorithms.ts'
import { ukiExtends } from '../../pcr11.ts'
import { type MeasuredContent, profileScopes, ukiProfile } from '../../uki.ts'
import type { PredictedEvent } from '../event.ts'
import { devicetreeEvents, initrdEvents, loadAddons, microcodeEvents } from './addons.ts'
import type { Handover } from './boot-loader.ts'
import { bootSecret } from './boot-secret.ts'
import { joined, mangled, splitProfile, textLoadOptions, withAutomaticConsole } from './command-line.ts'
import { bytesMeasured, commandLineEvent, digestsMeasured, imageEvents, iplEvent, PCR, taggedEvent } from './events.ts'
import type { BootMachine } from './input.ts'
import type { KernelStart } from './kernel.ts'
import { sidecars, TARGETS } from './sidecars.ts'
import { oemStrings, smbiosEvents } from './smbios-events.ts'
import { type LoadedImage, type StartedFile, sectionMemory, sectionOf } from './started-file.ts'
import { hasChange, type SystemdChange } from './systemd-changes.ts'

const PROFILE_TAG = 0x13aed6db
const OEM_COMMAND_LINE = 'io.systemd.stub.kernel-cmdline-extra='

/** Sections that older stubs do not know, and so do not measure. */
const SECTION_CHANGES: ReadonlyMap<string, SystemdChange> = new Map([
  ['.ucode', 'microcodeSection'],
  ['.profile', 'profiles'],
  ['.dtbauto', 'hardwareIds'],
  ['.hwids', 'hardwareIds'],
  ['.efifw', 'firmwareSections'],
])

/** Everything that systemd-stub measures, in its order, and what it starts the kernel with. */
export function stub(
  { file, loadOptions, initrds }: Handover,
  machine: BootMachine,
  systemdVersion: number,
  banks: readonly HashAlgorithm[],
  options: { readonly isSmbiosMeasured: boolean },
): {
  readonly events: readonly PredictedEvent[]
  readonly images: readonly LoadedImage[]
  readonly kernel: KernelStart
} {
  const { volume } = file
  const events: PredictedEvent[] = []
  const asked = splitProfile(textLoadOptions(loadOptions) ?? '')
  const profile = hasChange(systemdVersion, 'profiles') ? asked.profile : 0
  if (profile !== 0) events.push(profileEvent(profile))
  const section = (name: string): Uint8Array | undefined => sectionOf(file, name, profile)
  const identity = smbiosIdentity(machine.smbios)
  const scopes = profileScopes(file.pe, profile)
  const selected = chosenByHardware(scopes, file.bytes, identity)
  const measured = ukiProfile(file.pe, file.bytes, { profile, selected }).measured.filter(({ name }) =>
    isKnown(name, systemdVersion),
  )
  events.push(...sectionEvents(file, measured, banks))
  if (isKnown('.efifw', systemdVersion)) events.push(...firmwareImageEvents(scopes, file, identity))

  const explicit = explicitCommandLine(asked.rest, section('.cmdline'), machine)
  if (explicit !== undefined) events.push(commandLineEvent('stub', 'command line from the load options', explicit))
  let commandLine = explicit ?? mangled(efiText(section('.cmdline') ?? new Uint8Array()))

  const ownDirectory = extraDirectory(file.path)
  const addons = loadAddons(volume, ownDirectory, section('.uname'), machine, banks)
  events.push(...addons.events)
  if (addons.commandLine !== '') events.push(commandLineEvent('stub', 'command line of addons', addons.commandLine))
  commandLine = joined(commandLine, addons.commandLine)
  const ofMachine = machine.isConfidential ? '' : mangled(oemStrings(machine.smbios, OEM_COMMAND_LINE)[0] ?? '')
  if (ofMachine !== '') events.push(commandLineEvent('stub', 'command line of the machine', ofMachine))
  commandLine = joined(commandLine, ofMachine)
  if (hasChange(systemdVersion, 'automaticConsole')) commandLine = withAutomaticConsole(commandLine, machine.consoles)

  if (!options.isSmbiosMeasured && hasChange(systemdVersion, 'smbiosInPcr1')) {
    events.push(...smbiosEvents(machine.smbios, 'stub'))
  }
  const sidecar = sidecars(volume, ownDirectory)
  events.push(...devicetreeEvents(addons.devicetrees), ...sidecar.events)
  events.push(...microcodeEvents(addons.microcode), ...initrdEvents(addons.initrds))
  if (!hasChange(systemdVersion, 'stubStartsKernel')) events.push(...kernelImageEvents(file, measured, banks))

  const secret = hasChange(systemdVersion, 'bootSecret')
    ? bootSecret(machine, volume, section('.osrel'))
    : ({ kind: 'none' } as const)
  const before = [
    ...addons.microcode.toReversed().map(({ bytes }) => bytes),
    ...present(isKnown('.ucode', systemdVersion) ? section('.ucode') : undefined),
    ...(initrds.length === 0 ? [] : [combined(initrds)]),
    ...present(section('.initrd')),
    ...sidecar.archives,
    ...metadata('tpm2-pcr-signature.json', section('.pcrsig')),
    ...metadata('tpm2-pcr-public-key.pem', section('.pcrpkey')),
    ...metadata('os-release', section('.osrel')),
    ...metadata('profile', section('.profile')),
  ]
  const handedOver =
    secret.kind === 'known' ? [newcArchive(TARGETS.secret, [{ name: 'boot-secret', content: secret.bytes }])] : []
  const parts = [...before, ...handedOver, ...addons.initrds.map(({ bytes }) => bytes)]
  const initrd =
    secret.kind === 'unknown'
      ? ({ kind: 'unknown', why: `it contains the boot secret, and ${secret.why}` } as const)
      : ({ kind: 'parts', parts } as const)
  return { events, images: addons.images, kernel: { commandLine, initrd } }
}

function isKnown(section: string, systemdVersion: number): boolean {
  const change = SECTION_CHANGES.get(section)
  return change === undefined || hasChange(systemdVersion, change)
}

function profileEvent(profile: number): PredictedEvent {
  const bytes = utf16z(String(profile))
  const event = { pcr: PCR.kernelConfig, by: 'stub', measured: bytesMeasured(bytes) } as const
  return taggedEvent({ ...event, what: `profile ${profile}` }, PROFILE_TAG, bytes)
}

function sectionEvents(
  file: StartedFile,
  sections: readonly MeasuredContent[],
  banks: readonly HashAlgorithm[],
): PredictedEvent[] {
  return sections.flatMap((section) => {
    const [, content] = ukiExtends([section], banks)
    const event = { pcr: PCR.kernelBoot, by: 'stub' } as const
    const name = { what: `name of section ${section.name}`, measured: bytesMeasured(Buffer.from(`${section.name}\0`)) }
    const bytes = {
      what: `section ${section.name} of ${file.name}`,
      measured: digestsMeasured(content?.digests ?? new Map()),
    }
    return [iplEvent({ ...event, ...name }, section.name), iplEvent({ ...event, ...bytes }, section.name)]
  })
}

/** A machine that `.hwids` has a firmware image for may take it, restart, and measure something else then. */
function firmwareImageEvents(
  { base, own }: ReturnType<typeof profileScopes>,
  file: StartedFile,
  identity: SmbiosIdentity,
): PredictedEvent[] {
  const scope = [own, base].find((sections) => sections.some(({ name }) => name === '.efifw'))
  const known = scope === undefined ? undefined : knownHardware(scope, file.bytes, identity, 'firmware')
  if (known === undefined) return []
  const why = `the unified kernel image has firmware ${known.resource ?? ''} for this machine, which may be taken`
  const measured = { kind: 'unknown', why } as const
  const what = `section .efifw of ${file.name}`
  return [{ pcr: PCR.kernelBoot, type: EV_IPL, by: 'stub', what, measured, standsFor: 'anything' }]
}

/** Load options replace the command line of the UKI, unless Secure Boot is to protect that one. */
function explicitCommandLine(
  loadOptions: string,
  own: Uint8Array | undefined,
  { isSecureBootEnabled, isConfidential }: BootMachine,
): string | undefined {
  const commandLine = mangled(loadOptions)
  if (commandLine === '') return undefined
  return isSecureBootEnabled && (own !== undefined || isConfidential === true) ? undefined : commandLine
}

/** `\EFI\Linux\name.efi.extra.d`; a boot counter is no part of the name. */
function extraDirectory(path: string): string {
  return `${path.replace(/\+\d+(-\d+)?(\.efi)$/i, '$2')}.extra.d`
}

/** Before systemd 258 the firmware loaded the kernel from the section as one more image. */
function kernelImageEvents(
  file: StartedFile,
  measured: readonly MeasuredContent[],
  banks: readonly HashAlgorithm[],
): PredictedEvent[] {
  const section = file.pe.sections.find(({ name }) => name === measured[0]?.name)
  if (section === undefined) return []
  const bytes = sectionMemory(file, section)
  return imageEvents({ ...file, bytes, pe: parsePe(bytes), name: `${section.name} of ${file.name}` }, banks, 'stub')
}

function present(part: Uint8Array | undefined): Uint8Array[] {
  return part === undefined ? [] : [part]
}

function metadata(name: string, content: Uint8Array | undefined): Uint8Array[] {
  return content === undefined ? [] : [newcArchive(TARGETS.metadata, [{ name, content }])]
}

/** What a boot loader registers: padding between the parts, none behind the last. */
function combined(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    parts.flatMap((part, index) =>
      index === parts.length - 1 ? [part] : [part, new Uint8Array(-part.byteLength & 3)],
    ),
  )
}
