import type { Artifact, BuiltImage } from '../image/index.ts'
import { BootwrightError } from '../system/index.ts'

/** A file of an image that is part of a release. */
export interface ReleasePart {
  /** Name in the directory of the image. */
  readonly file: string
  /** Name in the release, before it is compressed. */
  readonly name: string
  readonly sha256: string
  readonly size: number
  readonly kind: 'partition' | 'uki'
}

/** COFF machine numbers, as systemd names the architecture (`%a`). */
const ARCHITECTURES: Readonly<Record<number, string>> = { 34404: 'x86-64', 43620: 'arm64' }

/**
 * What of an image makes a release, under names that carry what systemd-sysupdate(8) asks of them: image, version and
 * architecture, of partitions also type and UUID: `ab_2_x86-64.usr-x86-64.<uuid>.raw`, `ab_2_x86-64.efi`. Partitions come first: a
 * UKI that is there finds what it boots.
 *
 * Rejects with `IMAGE_INCOMPLETE` for an image without split partitions, and with `INVALID_ARGUMENT` for a version that names
 * cannot carry.
 */
export function releaseParts(
  image: Pick<BuiltImage, 'name' | 'version' | 'artifacts'>,
  machine: number,
): readonly ReleasePart[] {
  const { name, version, artifacts } = image
  if (!/^[A-Za-z0-9.~^-]+$/.test(version)) {
    throw new BootwrightError('INVALID_ARGUMENT', `Version ${version} of image ${name} cannot be released`, {
      hint: 'An underscore ends the version in the names of a release, and a plus sign begins the number of tries: leave them out.',
    })
  }
  const architecture = ARCHITECTURES[machine]
  if (architecture === undefined) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `The UKI of image ${name} is for no machine that has updates`, {
      detail: { machine },
    })
  }
  const stem = `${name}_${version}`
  const uki = artifacts.find(({ role }) => role === 'uki')
  const partitions = artifacts.filter(({ file }) => partitionSuffix(file, stem) !== undefined)
  if (uki === undefined || partitions.length === 0) {
    throw new BootwrightError('IMAGE_INCOMPLETE', `Image ${name} ${version} has no split partitions to release`, {
      hint: 'Set SplitArtifacts=uki,partitions in its mkosi.conf, and SplitName=%t.%U for each partition that updates replace.',
    })
  }
  const part = ({ file, sha256, size }: Artifact, kind: ReleasePart['kind'], suffix: string): ReleasePart => {
    return { file, sha256, size, kind, name: `${stem}_${architecture}.${suffix}` }
  }
  return [
    ...partitions.map((artifact) => part(artifact, 'partition', partitionSuffix(artifact.file, stem) ?? '')),
    part(uki, 'uki', 'efi'),
  ]
}

/** `usr-x86-64.<uuid>.raw`, where repart has split a partition with `SplitName=%t.%U`. */
function partitionSuffix(file: string, stem: string): string | undefined {
  const suffix = file.startsWith(`${stem}.`) ? file.slice(stem.length + 1) : ''
  return /^[a-z0-9-]+\.[0-9a-f]{32}\.raw$/.test(suffix) ? suffix : undefined
}
