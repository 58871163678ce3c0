export const UNIT_DIRECTORY = 'usr/lib/systemd/system'
export const ENDS_WITH_SYSTEM = ['Conflicts=shutdown.target', 'Before=shutdown.target']

export function unit(sections: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(sections)
    .map(([name, lines]) => `[${name}]\n${lines.map((line) => `${line}\n`).join('')}`)
    .join('\n')
}
