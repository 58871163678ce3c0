import type { RunEvent } from '../../sysupdate/index.ts'
import type { ToolOutput } from '../tool-output.ts'

/** Tells people what happens while a system is changed. */
export function tellEvent(event: RunEvent, output: ToolOutput): void {
  const { glyphs } = output
  const say = (text: string, level: 'info' | 'warning' = 'info'): void => {
    output.log(level, text.replaceAll('…', glyphs.ellipsis).replaceAll('→', glyphs.arrowRight))
  }
  if (event.kind === 'info' || event.kind === 'notice') say(event.text)
  else if (event.kind === 'warning') say(event.text, 'warning')
  else if (event.kind === 'removing')
    say(`${glyphs.recycling} Removing ${event.reason} '${event.path}' (${event.type}).`)
  else if (event.kind === 'acquiring') say(`${glyphs.download} Acquiring ${event.from} → ${event.to}...`)
  else if (event.kind === 'step' && event.step === 'installed') {
    say(`${glyphs.sparkles} Successfully installed update '${event.version}'.`)
  }
}
