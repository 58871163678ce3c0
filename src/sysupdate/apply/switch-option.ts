import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { openPlace } from '../install/index.ts'
import type { OptionKind } from '../parse-option.ts'

const DROP_IN = '50-systemd-sysupdate-enabled.conf'

/**
 * Switches a feature or component on or off, by a drop-in below /etc.
 *
 * @param owner the component of a feature; undefined for the default one
 * @param verb whose doing it is, for who reads the file
 */
export function switchOption(
  root: string,
  option: { readonly kind: OptionKind; readonly name: string; readonly owner?: string | undefined },
  isEnabled: boolean,
  verb: string,
): void {
  const { kind, name, owner } = option
  const section = kind === 'feature' ? 'Feature' : 'Component'
  const definitions = owner === undefined ? 'sysupdate.d' : `sysupdate.${owner}.d`
  const directory = kind === 'feature' ? `/etc/${definitions}/${name}.feature.d` : `/etc/sysupdate.${name}.component.d`
  using place = openPlace({ root, directory, name: DROP_IN })
  const [aside, path] = [place.path('.#'), place.path('')]
  try {
    const text = `# Generated via 'systemd-sysupdate ${verb}'\n\n[${section}]\nEnabled=${isEnabled ? 'yes' : 'no'}\n`
    rmSync(aside, { force: true })
    writeFileSync(aside, text, { flag: 'wx', flush: true })
    renameSync(aside, path)
    place.sync()
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}
