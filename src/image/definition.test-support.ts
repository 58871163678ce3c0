import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Cache, readyToolchain, removeTree } from '../toolchain/index.ts'
import type { ImageOptions } from './plan.ts'

/** The managed tools, for tests that let the real mkosi run. */
export const tools = await readyToolchain().catch(() => undefined)

/** A checkout with one image that mkosi builds in a moment: no packages, a root file system of a few files. */
export class SmallCheckout implements AsyncDisposable {
  readonly directory: string
  readonly imagesDirectory: string
  readonly outDirectory: string
  readonly cache: Cache

  private constructor(directory: string) {
    this.directory = directory
    this.imagesDirectory = join(directory, 'images')
    this.outDirectory = join(directory, 'out')
    this.cache = new Cache(join(directory, 'cache'))
  }

  static async make(): Promise<SmallCheckout> {
    const checkout = new SmallCheckout(await mkdtemp(join(tmpdir(), 'bootwright-test-')))
    await checkout.write('mkosi.conf.d/10-shared.conf', SHARED)
    await checkout.write('images/small/mkosi.conf', '[Include]\nInclude=../..\n\n[Output]\nImageId=small\n')
    await checkout.write('images/small/mkosi.skeleton/usr/lib/os-release', 'ID=small\n')
    await checkout.write('images/small/mkosi.skeleton/etc/early', 'early\n')
    await checkout.write('images/small/mkosi.extra/etc/late', 'late\n')
    await checkout.write('images/small/mkosi.repart/10-root.conf', ROOT_PARTITION)
    await checkout.write('images/small/uki.efi', smallUki())
    await checkout.script('images/small/mkosi.postoutput', 'cp "$SRCDIR/uki.efi" "$OUTPUTDIR/small_1.efi"')
    return checkout
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    const file = join(this.directory, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }

  async script(path: string, body: string): Promise<void> {
    await this.write(path, `#!/bin/sh\nset -e\n${body}\n`)
    await chmod(join(this.directory, path), 0o755)
  }

  options(toolchain: ImageOptions['toolchain']): ImageOptions {
    const { imagesDirectory, outDirectory, cache } = this
    return { toolchain, imagesDirectory, outDirectory, cache }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.directory)
  }
}

const SHARED = `[Distribution]
Distribution=custom

[Output]
Format=disk
SplitArtifacts=uki
ManifestFormat=json
ElTorito=no
Seed=9d1b5e0c-6c1c-4f1e-9c3a-0d5f3b0c7a11

[Content]
Bootable=no
SourceDateEpoch=1767225600
`

const ROOT_PARTITION = `[Partition]
Type=root
Label=root
Format=ext4
CopyFiles=/
SizeMinBytes=8M
SizeMaxBytes=8M
`

/** The least that is a UKI: a PE file with \`.linux\` and \`.uname\`. */
export function smallUki(linuxName = '.linux'): Buffer {
  const file = Buffer.alloc(0x600)
  const header = 0x80
  file.write('MZ', 0)
  file.writeUInt32LE(header, 0x3c)
  file.write('PE\0\0', header)
  file.writeUInt16LE(0x8664, header + 4)
  file.writeUInt16LE(2, header + 6)
  const optionalSize = 112 + 6 * 8
  file.writeUInt16LE(optionalSize, header + 20)
  const optional = header + 24
  file.writeUInt16LE(0x20b, optional)
  file.writeUInt32LE(0x3000, optional + 56)
  file.writeUInt32LE(0x200, optional + 60)
  file.writeUInt32LE(6, optional + 108)
  const contents: readonly (readonly [string, string])[] = [
    [linuxName, 'kernel'],
    ['.uname', '7.0.0-small'],
  ]
  for (const [index, [name, content]] of contents.entries()) {
    const at = optional + optionalSize + index * 40
    file.write(name, at)
    file.writeUInt32LE(content.length, at + 8)
    file.writeUInt32LE(0x1000 * (index + 1), at + 12)
    file.writeUInt32LE(0x200, at + 16)
    file.writeUInt32LE(0x200 * (index + 1), at + 20)
    file.write(content, 0x200 * (index + 1))
  }
  return file
}
