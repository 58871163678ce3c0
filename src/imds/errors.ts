import { VarlinkErrorReply } from '../varlink/index.ts'

export const IMDS_INTERFACE = 'io.systemd.InstanceMetadata'

/** The errors that the interface has, without its name. */
export const IMDS_ERRORS = [
  'KeyNotFound',
  'NotAvailable',
  'NotSupported',
  'WellKnownKeyUnset',
  'CommunicationFailure',
  'Timeout',
] as const

export type ImdsErrorName = (typeof IMDS_ERRORS)[number]

export function imdsError(name: ImdsErrorName): VarlinkErrorReply {
  return new VarlinkErrorReply(`${IMDS_INTERFACE}.${name}`)
}

/** Which of them it is; undefined for anything else. */
export function imdsErrorName(error: unknown): ImdsErrorName | undefined {
  if (!(error instanceof VarlinkErrorReply)) return undefined
  return IMDS_ERRORS.find((name) => error.error === `${IMDS_INTERFACE}.${name}`)
}

const NUMBERS = { ENOENT: 2, EIO: 5, EINVAL: 22, EFBIG: 27, EUCLEAN: 117 } as const

/** What the interface has no name for, as systemd's services say it. */
export function systemFailure(errnoName: keyof typeof NUMBERS): VarlinkErrorReply {
  return new VarlinkErrorReply('io.systemd.System', { origin: 'linux', errno: NUMBERS[errnoName], errnoName })
}

/** 131 (ENOTRECOVERABLE) with a bit of the original's own, which 262 lets out for a body that nobody wanted. */
export function leakedErrno(): VarlinkErrorReply {
  return new VarlinkErrorReply('io.systemd.System', { origin: 'linux', errno: 1_073_741_955 })
}
