import type { Duplex } from 'node:stream'
import { descriptorOf, peerUid } from '../system/index.ts'
import type { VarlinkPeer } from './service.ts'

/** The kernel's word for who is at the other end; nobody's where the stream is no UNIX socket. */
export function peerOf(stream: Duplex): VarlinkPeer {
  try {
    return { uid: peerUid(descriptorOf(stream)) }
  } catch {
    return { uid: undefined }
  }
}
