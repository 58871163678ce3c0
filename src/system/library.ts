import type { FunctionDefinitions, WrappedFunctionsFromDefinitions } from 'node:ffi'

/** Node's module for calls of libraries; it says of itself that it is young: for us to judge, not for our user to read. */
export function foreignFunctions(): typeof import('node:ffi') {
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return process.getBuiltinModule('node:ffi')
  } finally {
    process.emitWarning = emitWarning
  }
}

/** Of glibc's `bits/dlfcn.h`. */
const [RTLD_NOW, RTLD_DEEPBIND] = [0x2, 0x8]

/**
 * A library of the system with some of its functions; undefined where there is none, or one without them. It calls its own
 * functions, not those of the same name that Node has in it: of zstd, Node brings another version.
 */
export function loadLibrary<const T extends FunctionDefinitions>(
  name: string,
  definitions: T,
): WrappedFunctionsFromDefinitions<T> | undefined {
  const ffi = foreignFunctions()
  try {
    const { functions } = ffi.dlopen(null, { dlopen: { arguments: ['pointer', 'i32'], return: 'pointer' } })
    // What is loaded already stays as it was bound.
    functions.dlopen(Buffer.from(`${name}\0`), RTLD_NOW | RTLD_DEEPBIND)
    return ffi.dlopen(name, definitions).functions
  } catch {
    return undefined
  }
}

/** Where bytes are in memory, for a structure that a library reads: good as long as somebody holds them. */
export function addressOfBytes(bytes: Uint8Array): bigint {
  return foreignFunctions().getRawPointer(bytes)
}
