import { createHash } from 'node:crypto'
import { constants, copyFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openPgpSignature, parsePe } from '../../src/formats/index.ts'
import type { Artifact, BuiltImage } from '../../src/image/index.ts'
import type { MachineSpec, PrivateNetwork } from '../../src/machine/index.ts'
import { type FileServer, ownSigningKey, publish, serveDirectory } from '../../src/release/index.ts'

import { Cache, cacheDirectory } from '../../src/toolchain/index.ts'
import { builtImage, tools } from './scene.ts'

/** The network's own address, where machines find the server under the name that the image `ab` asks for. */
const SERVER = { address: '10.77.0.1', name: 'updates.example' }
/** A word of the kernel command line that any boot can do without, as long as what takes its place. */
const SPARE_WORD = 'rcupdate.rcu_expedited=1'

/** Ways in which a version does not get as far as `boot-complete.target`. */
export type Breakage = 'kernel panics' | 'init fails' | 'a block of /usr is corrupt' | 'a unit fails'

/** What the kernel of a broken version is told instead of the spare word. */
const WORDS = {
  // It goes on to its root file system without an initrd, and is told of none.
  'kernel panics': 'rdinit=/nonexistent',
  // The first program of the new root file system ends, and with it process 1.
  'init fails': 'init=/usr/bin/false',
  // A swap file that is not there: systemd-boot-check-no-failures.service, which boot-complete.target requires, finds a failed unit.
  'a unit fails': 'systemd.swap-extra=/none',
} as const

/** A server of updates for the image `ab`, in the network of its machines. */
export class Releases implements AsyncDisposable {
  readonly server: FileServer
  readonly #directory: string

  private constructor(directory: string, server: FileServer) {
    this.#directory = directory
    this.server = server
  }

  static async open(network: Pick<PrivateNetwork, 'listen'>): Promise<Releases> {
    const directory = await mkdtemp(join(cacheDirectory(), 'releases-'))
    const server = await network.listen(SERVER.address, 80)
    return new Releases(directory, await serveDirectory(directory, { server }))
  }

  /** Publishes a version of the image, broken as told. */
  async publish(version: string, breakage?: Breakage): Promise<void> {
    const cache = new Cache()
    const built = await builtImage('ab', version)
    await using image = await brokenImage(built, breakage)
    await publish([image.built], {
      toolchain: await tools(),
      directory: this.#directory,
      compression: 'zstd',
      key: await ownSigningKey(cache, new Date()),
      now: new Date(),
    })
  }

  /** Publishes files that belong to no image, by name. */
  async add(files: Readonly<Record<string, Uint8Array>>): Promise<void> {
    // The directory of the current manifest: nobody reads meanwhile.
    const sums = join(this.#directory, 'SHA256SUMS')
    const lines: string[] = []
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(join(this.#directory, name), bytes)
      lines.push(`${createHash('sha256').update(bytes).digest('hex')} *${name}\n`)
    }
    const text = Buffer.from(`${await readFile(sums, 'utf8')}${lines.join('')}`)
    await writeFile(sums, text)
    const key = await ownSigningKey(new Cache(), new Date())
    await writeFile(`${sums}.gpg`, openPgpSignature(key, text, new Date()))
  }

  /** The same for programs of this host. */
  serveHere(): Promise<FileServer> {
    return serveDirectory(this.#directory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** What a machine has to be told to take updates from {@link Releases}. */
export async function updateCredentials(): Promise<MachineSpec['credentials']> {
  const { publicKeyPath } = await ownSigningKey(new Cache(), new Date())
  const keyring = (await readFile(publicKeyPath)).toString('base64')
  return {
    'network.hosts': `${SERVER.address} ${SERVER.name}\n`,
    'tmpfiles.extra': `f~ /etc/systemd/import-pubring.pgp 0644 root root - ${keyring}\n`,
  }
}

async function brokenImage(built: BuiltImage, breakage?: Breakage): Promise<{ built: BuiltImage } & AsyncDisposable> {
  const directory = await mkdtemp(join(cacheDirectory(), 'broken-'))
  const end = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) }
  const alter = async (match: (artifact: Artifact) => boolean, change: (path: string) => Promise<void>) => {
    const artifacts: Artifact[] = []
    for (const artifact of built.artifacts) {
      if (!match(artifact)) {
        artifacts.push(artifact)
        continue
      }
      const path = join(directory, artifact.file)
      await copyFile(join(built.directory, artifact.file), path, constants.COPYFILE_FICLONE)
      await change(path)
      artifacts.push({
        ...artifact,
        sha256: createHash('sha256')
          .update(await readFile(path))
          .digest('hex'),
      })
    }
    for (const { file } of artifacts) {
      const from = join(built.directory, file)
      await copyFile(from, join(directory, file), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error
        },
      )
    }
    return { ...built, directory, ukiPath: join(directory, built.ukiPath.slice(built.directory.length + 1)), artifacts }
  }
  switch (breakage) {
    case undefined:
      return { built, ...end }
    case 'a block of /usr is corrupt': {
      // Its first kilobyte is nothing to EROFS: only the hash tree knows that it is not what it was.
      const isUsr = ({ file }: Artifact) => /\.usr-[a-z0-9-]+\.[0-9a-f]{32}\.raw$/.test(file) && !/verity/.test(file)
      return { built: await alter(isUsr, flipFirstBit), ...end }
    }
    default:
      return {
        built: await alter(
          ({ role }) => role === 'uki',
          (path) => replaceWord(path, WORDS[breakage]),
        ),
        ...end,
      }
  }
}

async function flipFirstBit(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 0)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 0)
}

async function replaceWord(uki: string, word: string): Promise<void> {
  const bytes = await readFile(uki)
  const section = parsePe(bytes).sections.find(({ name }) => name === '.cmdline')
  if (section === undefined) throw new Error(`${uki} has no command line`)
  const at = bytes.indexOf(SPARE_WORD, section.rawOffset)
  if (at === -1 || at > section.rawOffset + section.virtualSize) throw new Error(`${SPARE_WORD} is not in ${uki}`)
  bytes.write(word.padEnd(SPARE_WORD.length), at)
  await writeFile(uki, bytes)
}
