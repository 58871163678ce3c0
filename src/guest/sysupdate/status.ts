import { notifyService } from '../../system/index.ts'
import type { RunEvent } from '../../sysupdate/index.ts'

/** Tells the service manager, or who stands in its place, how far an update is: once for each percent of the whole. */
export function statusTeller(socket: string | undefined): (event: RunEvent) => void {
  let lastPercent = -1
  const tell = (...lines: string[]): void => {
    try {
      notifyService(socket, lines)
    } catch {
      // Who does not listen any more does not keep the update from being made.
    }
  }
  return (event) => {
    if (event.kind === 'step') {
      const ready = ['READY=1', `X_SYSUPDATE_VERSION=${event.version}`]
      if (event.step === 'making-room') tell(...ready, `STATUS=Making room for '${event.version}'.`)
      else if (event.step === 'acquiring-all') tell(`STATUS=Updating to '${event.version}'.`)
      else if (event.step === 'installing') tell(...ready, `STATUS=Installing '${event.version}'.`)
      else tell(`STATUS=Installed '${event.version}'.`)
    } else if (event.kind === 'progress') {
      const { version, index, count, receivedBytes, totalBytes } = event
      const share = totalBytes === undefined || totalBytes === 0 ? 0 : Math.min(1, receivedBytes / totalBytes)
      const percent = Math.floor((100 * (index + share)) / count)
      if (percent === lastPercent) return
      lastPercent = percent
      tell(
        `X_SYSUPDATE_PROGRESS=${percent}`,
        `X_SYSUPDATE_TRANSFERS_LEFT=${count - index}`,
        `X_SYSUPDATE_TRANSFERS_DONE=${index}`,
        `STATUS=Updating to '${version}' (${percent}% complete).`,
      )
    }
  }
}
