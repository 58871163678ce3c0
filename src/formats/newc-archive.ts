/** How a cpio archive of files in one directory is laid out. Modes are permission bits. */
export interface NewcTarget {
  /** Without a leading slash: `.extra/credentials`. */
  readonly directory: string
  readonly directoryMode: number
  readonly fileMode: number
}

const DIRECTORY_TYPE = 0o040000
const FILE_TYPE = 0o100000
/** Those above the target directory. */
const PARENT_MODE = 0o555
/** "0000000B" is upper case only here: systemd-stub has this record as a constant, the others it formats. */
const TRAILER = Buffer.from(`070701${'0'.repeat(32)}00000001${'0'.repeat(48)}0000000B00000000TRAILER!!!\0\0\0\0`)

/**
 * Writes "newc" archives byte for byte as systemd-stub and systemd-boot do (systemd src/boot/cpio.c): numbers in
 * lower-case hexadecimal, no owners, no times, inodes counted from 1.
 */
export class NewcWriter {
  readonly #records: Uint8Array[] = []
  #inode: number

  constructor(firstInode = 1) {
    this.#inode = firstInode
  }

  /** For an archive that goes on counting. */
  get nextInode(): number {
    return this.#inode
  }

  /** The target directory and every one above it. */
  directories({ directory, directoryMode }: NewcTarget): void {
    const names = directory.split('/')
    for (const index of names.keys()) {
      const mode = index === names.length - 1 ? directoryMode : PARENT_MODE
      this.#record(names.slice(0, index + 1).join('/'), DIRECTORY_TYPE | mode, new Uint8Array())
    }
  }

  file({ directory, fileMode }: NewcTarget, name: string, content: Uint8Array): void {
    this.#record(`${directory}/${name}`, FILE_TYPE | fileMode, content)
  }

  /** The whole archive with its trailer. */
  finish(): Uint8Array {
    return Buffer.concat([...this.#records, TRAILER])
  }

  #record(path: string, mode: number, content: Uint8Array): void {
    const name = Buffer.from(`${path}\0`, 'latin1')
    const fields = [this.#inode++, mode, 0, 0, 1, 0, content.byteLength, 0, 0, 0, 0, name.byteLength, 0]
    const head = Buffer.concat([Buffer.from(`070701${fields.map(hex8).join('')}`), name])
    this.#records.push(head, zerosTo4(head.byteLength), content, zerosTo4(content.byteLength))
  }
}

/** One archive of some files, in the order given. */
export function newcArchive(
  target: NewcTarget,
  files: readonly { readonly name: string; readonly content: Uint8Array }[],
): Uint8Array {
  const writer = new NewcWriter()
  writer.directories(target)
  for (const { name, content } of files) writer.file(target, name, content)
  return writer.finish()
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0')
}

/** What is missing to a multiple of 4. */
function zerosTo4(length: number): Uint8Array {
  return new Uint8Array(-length & 3)
}
