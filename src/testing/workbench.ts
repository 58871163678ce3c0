import { mkdir } from 'node:fs/promises'
import { guestTrees } from '../guest/index.ts'
import { type BuiltImage, build } from '../image/index.ts'
import { type Firmware, reapStateDirectories } from '../machine/index.ts'
import { pcrKeys, signedImage } from '../scene/index.ts'
import { accelerator, setUp, type Toolchain } from '../toolchain/index.ts'
import { checkImage, projectFirmware } from './names.ts'
import type { Settings } from './settings.ts'

/** What all tests of a process share: tools and images, each made ready once. */
export class Workbench {
  readonly settings: Settings
  readonly #ready = new Map<string, Promise<unknown>>()

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** Where machines keep their state while they run. */
  get stateParent(): string {
    return this.settings.cache.path('machines')
  }

  tools(): Promise<Toolchain> {
    return this.#once('tools', async () => {
      await mkdir(this.stateParent, { recursive: true })
      await reapStateDirectories(this.stateParent)
      return setUp({ cache: this.settings.cache })
    })
  }

  /** An image of the project, built unless it is there already, and signed as the firmware wants it. */
  async image(name: string, firmware?: Firmware): Promise<BuiltImage> {
    if (firmware?.ownKeys !== undefined) {
      const [image, toolchain] = [await this.image(name), await this.tools()]
      return signedImage(image, firmware, { toolchain, cache: this.settings.cache })
    }
    const { project, cache } = this.settings
    await checkImage(project, name)
    const { imagesDirectory, outDirectory } = project
    return this.#once(`image ${name}`, async () => {
      return build(name, {
        toolchain: await this.tools(),
        imagesDirectory,
        outDirectory,
        cache,
        treeMakers: { ...guestTrees(cache), ...pcrKeys(await this.tools(), cache) },
      })
    })
  }

  async firmware(name: string): Promise<Firmware> {
    return projectFirmware(this.settings.project, name, await this.tools(), this.settings.cache)
  }

  accelerator(needsSmm: boolean): Promise<'kvm' | 'tcg'> {
    return this.#once(`accelerator ${needsSmm}`, async () => {
      return (await accelerator(await this.tools(), this.settings.cache, { smm: needsSmm })).name
    })
  }

  /** What failed is tried again: the reason may be gone. */
  #once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#ready.get(name) as Promise<T> | undefined
    if (known !== undefined) return known
    const made = make()
    this.#ready.set(name, made)
    made.catch(() => this.#ready.delete(name))
    return made
  }
}
