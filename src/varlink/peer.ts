import type { Duplex } from 'node:stream'
import { descriptorOf, peerPid, peerUid } from '../system/index.ts'
import type { VarlinkPeer } from './service.ts'

/** The kernel's word for who is at the other end; nobody's where the stream is no UNIX socket. */
export function peerOf(stream: Duplex): VarlinkPeer {
  try {
    const fd = descriptorOf(stream)
    return { uid: peerUid(fd), pid: peerPid(fd) }
  } catch {
    return { uid: undefined }
  }
}
